"""Tables of provenance: subjects, consent, lawful bases, records, verdicts and withdrawals."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone


class Subject(models.Model):
    """A person whose data is held. `external_ref` is the source system's name for them within `namespace`."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    namespace = models.CharField(max_length=100)
    # Indexed alone as well, because stewards search for a person by the beginning of the name and do not know the
    # namespace.
    external_ref = models.CharField(max_length=300, db_index=True)
    created_at = models.DateTimeField(auto_now_add=True)
    erased_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["namespace", "external_ref"], name="subject_once")]

    def __str__(self) -> str:
        return f"{self.namespace}/{self.external_ref}"


class ConsentRecord(models.Model):
    """A consent record (ISO/IEC TS 27560; field names after W3C DPV). Its state is the newest of its events."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    record_id = models.CharField(max_length=200, unique=True)
    schema_version = models.CharField(max_length=20, default="1")
    # PROTECT on every link to a person: erasure empties a subject and keeps its row, because the proof that consent was
    # given or withdrawn must outlive the data.
    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="consents")
    purposes = models.JSONField(default=list)
    lawful_basis = models.CharField(max_length=60, default="eu-gdpr:A6-1-a")
    privacy_notice = models.CharField(max_length=500, blank=True)
    language = models.CharField(max_length=20, blank=True)
    controllers = models.JSONField(default=list)
    collection_method = models.CharField(max_length=200, blank=True)
    storage_locations = models.JSONField(default=list)
    retention_period = models.CharField(max_length=40, blank=True)
    geographic_restrictions = models.JSONField(default=list)
    jurisdiction = models.CharField(max_length=60, blank=True)
    recipient_third_parties = models.JSONField(default=list)
    withdrawal_method = models.CharField(max_length=300, blank=True)
    privacy_rights = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.record_id


class ConsentEvent(models.Model):
    """What happened to a consent record. Append-only. `event_time` is when it happened, which may be long before it
    was recorded."""

    # The history is evidence under GDPR article 7(1), so a record with events cannot be deleted.
    record = models.ForeignKey(ConsentRecord, on_delete=models.PROTECT, related_name="events")
    event_time = models.DateTimeField()
    validity_seconds = models.BigIntegerField(null=True, blank=True)
    entity_id = models.CharField(max_length=200)
    event_type = models.CharField(max_length=60)
    event_state = models.CharField(max_length=60)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["event_time", "id"]
        constraints = [
            # An event may be delivered again after a time-out. This key makes the repetition a no-op.
            models.UniqueConstraint(fields=["record", "event_time", "event_state"], name="consent_event_once")
        ]

    def __str__(self) -> str:
        return f"{self.event_state} at {self.event_time:%Y-%m-%d}"


class LawfulBasis(models.Model):
    """A recorded basis other than consent, for a whole source system or one subject, with document and reviewer."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    source_system = models.CharField(max_length=100)
    subject = models.ForeignKey(Subject, null=True, blank=True, on_delete=models.PROTECT, related_name="bases")
    basis = models.CharField(max_length=60)
    purposes = models.JSONField(default=list)
    document = models.CharField(max_length=500)
    reviewed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    reviewed_at = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.basis} for {self.source_system}"


class ProvenanceRecord(models.Model):
    """The facts that the gate reads about one example."""

    class PersonalData(models.TextChoices):
        UNKNOWN = "unknown", "Not looked for yet"
        NONE = "none", "None found"
        REDACTED = "redacted", "Redacted"
        CLEARED = "cleared", "Cleared for use by a steward"
        PRESENT = "present", "Present"

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    source_system = models.CharField(max_length=100, db_index=True)
    source_record_id = models.CharField(max_length=300)
    content_sha256 = models.CharField(max_length=64)
    captured_at = models.DateTimeField()
    captured_by = models.CharField(max_length=200)
    activity_id = models.CharField(max_length=200, blank=True)
    derived_from = models.JSONField(default=list)
    generation_method = models.CharField(max_length=60, default="human-conversation")
    origin_geography = models.CharField(max_length=60, blank=True)
    format = models.CharField(max_length=60, default="application/json")
    classification = models.JSONField(default=list)
    privacy_enhancing = models.JSONField(default=list)
    # Unknown until a search has looked: the gate refuses what was not searched, so a crash before the search cannot
    # clear anything.
    personal_data = models.CharField(max_length=12, choices=PersonalData, default=PersonalData.UNKNOWN)
    license_spdx = models.CharField(max_length=100, blank=True)
    copyright = models.CharField(max_length=300, blank=True)
    intended_purposes = models.JSONField(default=list)
    prohibited_purposes = models.JSONField(default=list)
    processing_included = models.JSONField(default=list)
    processing_excluded = models.JSONField(default=list)
    storage_allowed = models.JSONField(default=list)
    storage_forbidden = models.JSONField(default=list)
    retention_until = models.DateTimeField(null=True, blank=True)
    legal_hold = models.BooleanField(default=False)
    # Quarantine, legal hold and erasure are separate fields, because a record may be in all three at once, and ending
    # one must not end another.
    quarantined_at = models.DateTimeField(null=True, blank=True)
    quarantine_reason = models.CharField(max_length=500, blank=True)
    erased_at = models.DateTimeField(null=True, blank=True)
    subjects = models.ManyToManyField(Subject, related_name="records")
    # Every service that changes a fact must set this. Judging the record again clears it.
    judge_due = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source_system", "source_record_id"], name="provenance_once")
        ]
        indexes = [
            # Partial, because nearly all records are judged: the index stays small enough that the sweep costs the same
            # at any size.
            models.Index(fields=["id"], name="provenance_judge_due", condition=models.Q(judge_due=True)),
        ]

    def __str__(self) -> str:
        return f"{self.source_system}/{self.source_record_id}"


class GateVerdict(models.Model):
    """The last verdict on a record for one purpose and region, for pages.

    A snapshot build must not rely on it. It asks the gate again inside its own transaction, because facts may have
    changed since.
    """

    record = models.ForeignKey(ProvenanceRecord, on_delete=models.CASCADE, related_name="verdicts")
    purpose = models.CharField(max_length=40)
    region = models.CharField(max_length=40)
    cleared = models.BooleanField()
    flags = models.JSONField(default=list)
    reasons = models.JSONField(default=list)
    judged_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["record", "purpose", "region"], name="verdict_one_per_purpose")
        ]
        indexes = [
            # In the order of the clearance list, so that a page of it is read from the index without sorting.
            models.Index(fields=["purpose", "region", "cleared", "-id"], name="verdict_by_outcome"),
            models.Index(fields=["expires_at"], name="verdict_expiry", condition=models.Q(expires_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.record_id} {self.purpose} {'cleared' if self.cleared else 'refused'}"


class GateReason(models.Model):
    """One reason of a refusal. It has its own row because every count on the clearance page opens a list."""

    verdict = models.ForeignKey(GateVerdict, on_delete=models.CASCADE, related_name="reason_rows")
    # Copied from the verdict, because the list of a rule filters and sorts by these columns, and a join would read
    # every reason of the rule first.
    purpose = models.CharField(max_length=40)
    region = models.CharField(max_length=40)
    rule = models.CharField(max_length=60)

    class Meta:
        indexes = [models.Index(fields=["purpose", "region", "rule", "-id"], name="reason_by_rule")]

    def __str__(self) -> str:
        return self.rule


class StewardReview(models.Model):
    """A steward's decision on a record: quarantine, release, or clearing the use of personal data."""

    class Decision(models.TextChoices):
        QUARANTINE = "quarantine", "Quarantine"
        RELEASE = "release", "Release"
        CLEAR_PERSONAL_DATA = "clear_personal_data", "Clear personal data"

    record = models.ForeignKey(ProvenanceRecord, on_delete=models.PROTECT, related_name="steward_reviews")
    decision = models.CharField(max_length=30, choices=Decision)
    reason = models.CharField(max_length=500)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)
    # The facts as the steward saw them, see `steward_actions`.
    record_hash = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"{self.decision} {self.record_id}"


class Withdrawal(models.Model):
    """A withdrawal of consent. It blocks at once; a job then walks derived data and lists it in the receipt."""

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="withdrawals")
    purposes = models.JSONField(default=list)
    reason = models.CharField(max_length=500, blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField(auto_now_add=True)
    # When the subject withdrew. Consent given before it no longer holds. It is earlier than `requested_at` when the
    # withdrawal was recorded late.
    effective_at = models.DateTimeField(default=timezone.now)
    completed_at = models.DateTimeField(null=True, blank=True)
    # One document and not rows, because it is handed to the person as it was, and its hash goes to the ledger.
    receipt = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"withdrawal {self.uid}"
