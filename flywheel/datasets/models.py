"""Frozen data sets: the snapshot, its rows, and what the gates refused when it was frozen.

Files (Parquet, manifest, cards) lie in file storage; these rows join them to examples, annotations and records.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from annotation.models import Annotation, Project
from flywheel.capture.models import Example
from flywheel.work.models import Job
from provenance.models import ProvenanceRecord


class Snapshot(models.Model):
    """An immutable data set of what may teach for one purpose in one region."""

    class Status(models.TextChoices):
        BUILDING = "building", "Building"
        FROZEN = "frozen", "Frozen"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"
        TAINTED = "tainted", "Tainted by a withdrawal"

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    name = models.CharField(max_length=200)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="snapshots")
    purpose = models.CharField(max_length=40)
    region = models.CharField(max_length=40)
    commercial = models.BooleanField(default=True)
    seed = models.PositiveBigIntegerField(default=0)
    # Shares of validation and test, e.g. {"validation": 0.1, "test": 0.1}; the rest is train.
    shares = models.JSONField(default=dict)
    system_prompt = models.TextField(blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.BUILDING)
    error = models.TextField(blank=True)
    merkle_root = models.CharField(max_length=64, blank=True)
    row_count = models.BigIntegerField(default=0)
    split_counts = models.JSONField(default=dict)
    refused_counts = models.JSONField(default=dict)
    manifest = models.JSONField(default=dict)
    share_alike = models.BooleanField(default=False)
    # Folder below file storage that holds the snapshot's files.
    path = models.CharField(max_length=300, blank=True)
    # The job that builds it. Who holds the job's claim is the only one who may write the snapshot's rows.
    job = models.OneToOneField(Job, null=True, on_delete=models.PROTECT, related_name="+")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    frozen_at = models.DateTimeField(null=True, blank=True)
    tainted_at = models.DateTimeField(null=True, blank=True)
    # When the first row ceases to be cleared by itself: its consent, basis or retention ends. Empty for never.
    cleared_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["-id"], name="snapshot_newest")]

    def __str__(self) -> str:
        return self.name

    @property
    def refused_total(self) -> int:
        """How many settled examples the gates kept out."""
        return sum(self.refused_counts.values())


class SnapshotRow(models.Model):
    """Which example, annotation and record became which leaf."""

    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="rows")
    leaf_index = models.BigIntegerField()
    leaf_sha256 = models.CharField(max_length=64)
    split = models.CharField(max_length=12)
    group_key = models.CharField(max_length=64)
    example = models.ForeignKey(Example, on_delete=models.PROTECT, related_name="snapshot_rows")
    annotation = models.ForeignKey(Annotation, null=True, on_delete=models.SET_NULL, related_name="snapshot_rows")
    record = models.ForeignKey(ProvenanceRecord, on_delete=models.PROTECT, related_name="snapshot_rows")
    tainted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["snapshot", "leaf_index"], name="snapshot_leaf_once"),
            models.UniqueConstraint(fields=["snapshot", "example"], name="snapshot_example_once"),
        ]

    def __str__(self) -> str:
        return f"leaf {self.leaf_index} of {self.snapshot_id}"


class SnapshotRefusal(models.Model):
    """An example that the gates kept out when the snapshot was frozen, with both sets of reasons."""

    snapshot = models.ForeignKey(Snapshot, on_delete=models.CASCADE, related_name="refusals")
    example = models.ForeignKey(Example, on_delete=models.PROTECT, related_name="refusals")
    # The first rule that refused, for counting; `reasons` holds all of them.
    rule = models.CharField(max_length=60)
    reasons = models.JSONField(default=list)

    class Meta:
        indexes = [models.Index(fields=["snapshot", "rule", "id"], name="refusal_by_rule")]

    def __str__(self) -> str:
        return f"{self.rule} kept {self.example_id} out of {self.snapshot_id}"
