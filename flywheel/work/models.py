"""The job: one row for everything that a worker or a trainer must do once."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from flywheel.core.permissions import Person, allow
from flywheel.work.registry import job_kinds


class Job(models.Model):
    """Work that follows a commit, written in the same transaction as the change that asks for it.

    The row is the truth and the broker's message only a nudge: the work is done when the row says so, and a sweep
    nudges again when a message or a worker was lost. `claim_sha256` is the hash of a token that belongs to the current
    attempt. It is the fence: a worker that was presumed dead holds an older token and cannot write.

    Follow-up work (`visible` is false) is short and is not listed. Long work is listed on the Jobs page with its
    progress. A local worker claims a row by its key (`flywheel.work.jobs`), a trainer over HTTP (`flywheel.runs`).
    """

    class Status(models.TextChoices):
        REQUESTED = "requested", "Waits for approval"
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        CANCELLING = "cancelling", "Cancelling"
        DONE = "done", "Done"
        STOPPED = "stopped", "Stopped at a limit"
        CANCELLED = "cancelled", "Cancelled"
        FAILED = "failed", "Failed"

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=60)
    payload = models.JSONField(default=dict)
    dedupe_key = models.CharField(max_length=200, blank=True)
    visible = models.BooleanField(default=False)
    title = models.CharField(max_length=220, blank=True)
    # What the job works on, as the ledger names it, for example "snapshot:<uid>".
    object_ref = models.CharField(max_length=120, blank=True)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    status = models.CharField(max_length=12, choices=Status, default=Status.QUEUED)

    claim_sha256 = models.CharField(max_length=64, blank=True)
    claimed_by = models.CharField(max_length=200, blank=True)
    claim_expires_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    # Claims so far, and how many of the last ones in a row ended without progress.
    attempts = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    # The earliest time of the next nudge: a delay, a wait after a failure, or the time given to a trainer to answer.
    available_at = models.DateTimeField(null=True, blank=True)
    # Messages sent to the trainers' queue since the job was queued; the wait for an answer doubles with each.
    dispatches = models.PositiveIntegerField(default=0)

    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(null=True, blank=True)
    unit = models.CharField(max_length=30, default="rows")
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    summary = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    queued_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["available_at", "id"], name="job_due", condition=models.Q(status="queued")),
            models.Index(
                fields=["claim_expires_at"], name="job_claimed",
                condition=models.Q(status__in=["running", "cancelling"]),
            ),
            # Follow-up work outnumbers listed jobs by far, so the page's index leaves it out.
            models.Index(fields=["-id"], name="job_newest_visible", condition=models.Q(visible=True)),
            models.Index(fields=["object_ref", "-id"], name="job_by_object", condition=~models.Q(object_ref="")),
        ]
        constraints = [
            # Follow-up work that was requested twice runs once. A row that was tried before does not count as waiting,
            # because what it saw may be older than the new request.
            models.UniqueConstraint(
                fields=["kind", "dedupe_key"], name="job_one_waiting_per_key",
                condition=models.Q(visible=False, status="queued", attempts=0) & ~models.Q(dedupe_key=""),
            ),
            # Long work with a key exists once until it ends: two clicks, or two sweeps, make one.
            models.UniqueConstraint(
                fields=["kind", "dedupe_key"], name="job_one_active_per_key",
                condition=models.Q(visible=True, finished_at__isnull=True) & ~models.Q(dedupe_key=""),
            ),
        ]

    def __str__(self) -> str:
        return self.title or f"{self.kind} {self.pk}"

    @property
    def link(self) -> str:
        """Address of the page of what the job works on; "" when there is none."""
        kind = job_kinds().get(self.kind)
        return kind.link(self) if kind is not None and kind.link is not None and self.object_ref else ""

    @property
    def can_be_cancelled(self) -> bool:
        """Whether a request to cancel makes sense now."""
        kind = job_kinds().get(self.kind)
        return self.finished_at is None and self.cancel_requested_at is None and (kind is None or kind.cancellable)

    def can_be_cancelled_by(self, user: Person) -> bool:
        """Whether a person who sees the job may cancel it now."""
        kind = job_kinds().get(self.kind)
        needed = kind.cancel_permission if kind is not None else ""
        return self.can_be_cancelled and (not needed or allow(needed, user, self))

    @property
    def kind_title(self) -> str:
        """The kind in words, as the Jobs page shows it."""
        kind = job_kinds().get(self.kind)
        return kind.title if kind is not None else self.kind
