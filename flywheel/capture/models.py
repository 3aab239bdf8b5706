"""Sources, raw captures, and the examples made of them."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from flywheel.capture.connectors import connector_choices
from provenance.models import ProvenanceRecord


class Source(models.Model):
    """Where captures come from, and on which terms. It must exist before anything is captured from it."""

    class ConsentPolicy(models.TextChoices):
        EXPLICIT = "explicit", "Every subject needs a consent record"
        RECORDED_BASIS = "recorded_basis", "A recorded lawful basis for the whole source"

    name = models.SlugField(max_length=100, unique=True)
    # The key of its connector, and what the connector needs to know, by the names that the connector lists.
    kind = models.CharField(max_length=20, choices=connector_choices, default="generic")
    options = models.JSONField(default=dict, blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="sources")
    license_spdx = models.CharField(max_length=100, blank=True)
    copyright = models.CharField(max_length=300, blank=True)
    purposes = models.JSONField(default=list)
    prohibited_purposes = models.JSONField(default=list)
    region = models.CharField(max_length=40, default="EU")
    consent_policy = models.CharField(max_length=20, choices=ConsentPolicy, default=ConsentPolicy.EXPLICIT)
    subject_namespace = models.CharField(max_length=100, blank=True)
    # Names of products and companies, because the detector would take them for people or places.
    product_names = models.JSONField(default=list, blank=True)
    include_notes = models.BooleanField(default=False)
    retention_days = models.PositiveIntegerField(null=True, blank=True)
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Capture(models.Model):
    """One delivery, raw and immutable. Idempotent on (source, external id, version)."""

    class Status(models.TextChoices):
        RECEIVED = "received", "Received"
        PROCESSED = "processed", "Processed"
        DEAD = "dead", "Could not be processed"

    class Kind(models.TextChoices):
        TICKET = "ticket", "Ticket"
        CALL = "call", "Call"

    # Without an index of its own: two below begin with it.
    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="captures", db_index=False)
    external_id = models.CharField(max_length=200)
    version = models.CharField(max_length=80)
    kind = models.CharField(max_length=10, choices=Kind)
    payload = models.TextField()
    payload_sha256 = models.CharField(max_length=64)
    # Decides which version is the newest. It is a function of the content alone, so that arrival order does not matter.
    # Compared in Python only, because databases sort text by their own rules.
    order_key = models.CharField(max_length=120)
    received_at = models.DateTimeField(auto_now_add=True)
    received_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=10, choices=Status, default=Status.RECEIVED)
    error = models.TextField(blank=True)
    processed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "external_id", "version"], name="capture_once"),
        ]
        indexes = [
            models.Index(fields=["id"], name="capture_waiting", condition=models.Q(status="received")),
            models.Index(fields=["-id"], name="capture_dead", condition=models.Q(status="dead")),
            models.Index(fields=["source", "id"], name="capture_by_source"),
        ]

    def __str__(self) -> str:
        return f"{self.source_id}/{self.external_id}@{self.version}"


class Example(models.Model):
    """One conversation in the one shape, with its personal data found and redacted.

    `conversation` and `redacted` are lists of `{role, author, at, text}`; `pii` is a list of
    `{message, start, end, type, score, placeholder}` with offsets into `conversation[message].text`.
    `group_key` is shared by near-duplicates. `uid` is a function of source and external id, so that the same
    conversation has the same identifier in every installation.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        WITHDRAWN = "withdrawn", "Withdrawn"
        ERASED = "erased", "Erased"

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    # Without an index of its own: others below begin with it.
    source = models.ForeignKey(Source, on_delete=models.PROTECT, related_name="examples", db_index=False)
    external_id = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=Capture.Kind)
    capture = models.ForeignKey(Capture, on_delete=models.PROTECT, related_name="examples")
    provenance = models.OneToOneField(ProvenanceRecord, on_delete=models.PROTECT, related_name="example")
    subject_line = models.CharField(max_length=500, blank=True)
    conversation = models.JSONField(default=list)
    redacted = models.JSONField(default=list)
    redacted_subject_line = models.CharField(max_length=500, blank=True)
    pii = models.JSONField(default=list)
    context_length = models.PositiveIntegerField(default=0)
    label = models.CharField(max_length=200, blank=True)
    tags = models.JSONField(default=list)
    language = models.CharField(max_length=20, blank=True)
    text_sha256 = models.CharField(max_length=64)
    group_key = models.CharField(max_length=64)
    duplicate_of = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.SET_NULL, related_name="duplicates"
    )
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    occurred_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "external_id"], name="example_once")]
        indexes = [
            models.Index(fields=["text_sha256"], name="example_by_text"),
            models.Index(fields=["group_key"], name="example_by_group"),
            # The earliest of each group; the others are its duplicates.
            models.Index(
                fields=["group_key"], name="example_group_head", condition=models.Q(duplicate_of__isnull=True)
            ),
            models.Index(fields=["source", "id"], name="example_by_source"),
            # The facets, the search and the sort of the list of examples. A facet that nearly every example shares has
            # an index of the exceptions only: the others are found by walking the primary key.
            models.Index(fields=["label", "id"], name="example_by_label"),
            models.Index(fields=["language", "id"], name="example_by_language"),
            models.Index(fields=["kind", "id"], name="example_by_kind"),
            models.Index(fields=["status", "id"], name="example_inactive", condition=~models.Q(status="active")),
            models.Index(fields=["id"], name="example_duplicate", condition=models.Q(duplicate_of__isnull=False)),
            models.Index(fields=["occurred_at", "id"], name="example_by_time"),
            models.Index(fields=["external_id"], name="example_by_external_id", opclasses=["varchar_pattern_ops"]),
        ]

    def __str__(self) -> str:
        return f"{self.source_id}/{self.external_id}"


class MinHashBand(models.Model):
    """One band of an example's MinHash signature: examples that share a band are candidates for near-duplicates."""

    example = models.ForeignKey(Example, on_delete=models.CASCADE, related_name="bands")
    band = models.PositiveSmallIntegerField()
    digest = models.BigIntegerField()

    class Meta:
        # The digest includes the band, see domain.minhash, so the index needs no second column.
        indexes = [models.Index(fields=["digest"], name="minhash_lookup")]
        constraints = [models.UniqueConstraint(fields=["example", "band"], name="minhash_band_once")]

    def __str__(self) -> str:
        return f"{self.example_id}/{self.band}"


class SourcePull(models.Model):
    """How far a source was pulled by its connector, and how the last pull went."""

    source = models.OneToOneField(Source, on_delete=models.CASCADE, related_name="pull")
    # Only the connector understands it.
    cursor = models.JSONField(default=dict)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    captured = models.BigIntegerField(default=0)
    repeated = models.BigIntegerField(default=0)
    bad = models.BigIntegerField(default=0)
    bad_rows = models.JSONField(default=list)
    error = models.TextField(blank=True)

    def __str__(self) -> str:
        return str(self.source)


class FileImport(models.Model):
    """A file being captured: how far it was read, so that it can be resumed, and which rows were bad."""

    # None when each row names its own source.
    source = models.ForeignKey(Source, null=True, blank=True, on_delete=models.PROTECT, related_name="imports")
    path = models.CharField(max_length=1000)
    sha256 = models.CharField(max_length=64)
    format = models.CharField(max_length=40)
    # Rows that are committed; an import that was killed is resumed after them.
    position = models.BigIntegerField(default=0)
    rows_read = models.BigIntegerField(default=0)
    rows_captured = models.BigIntegerField(default=0)
    rows_repeated = models.BigIntegerField(default=0)
    rows_bad = models.BigIntegerField(default=0)
    bad_rows = models.JSONField(default=list)
    started_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "sha256"], name="file_import_once"),
            models.UniqueConstraint(
                fields=["sha256"], name="file_import_once_without_source", condition=models.Q(source__isnull=True)
            ),
        ]
        indexes = [models.Index(fields=["source", "-id"], name="file_import_newest")]

    def __str__(self) -> str:
        return self.path
