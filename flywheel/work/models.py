"""Work that must follow a commit, and long jobs that a person watches."""

from __future__ import annotations

import uuid

from django.db import models

from flywheel.core.models import User


class OutboxMessage(models.Model):
    """Work that must follow a commit, written in the same transaction as the change that asks for it.

    The row is the truth and the broker's message only a nudge: a row is done when its handler has finished, and a
    sweep sends again what was lost. `claimed_until` keeps two workers from doing the same row at once.
    """

    topic = models.CharField(max_length=80)
    payload = models.JSONField(default=dict)
    dedupe_key = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    available_at = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    done_at = models.DateTimeField(null=True, blank=True)
    dead_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["available_at", "id"],
                name="outbox_pending",
                condition=models.Q(done_at__isnull=True, dead_at__isnull=True),
            ),
        ]
        constraints = [
            # One waiting message per key: asking twice for the same work queues it once.
            models.UniqueConstraint(
                fields=["topic", "dedupe_key"],
                name="outbox_one_waiting_per_key",
                condition=models.Q(done_at__isnull=True, dead_at__isnull=True, claimed_until__isnull=True)
                & ~models.Q(dedupe_key=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.topic} {self.pk}"


class Job(models.Model):
    """Long work that a person watches: its progress, its cancel switch and the sentence it ends in."""

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    kind = models.CharField(max_length=60)
    title = models.CharField(max_length=200)
    object_ref = models.CharField(max_length=120, blank=True)
    requested_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    status = models.CharField(max_length=12, choices=Status, default=Status.QUEUED)
    done_units = models.BigIntegerField(default=0)
    total_units = models.BigIntegerField(null=True, blank=True)
    unit = models.CharField(max_length=30, default="rows")
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    summary = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["-id"], name="job_newest"),
            models.Index(fields=["object_ref", "-id"], name="job_by_object"),
        ]

    def __str__(self) -> str:
        return self.title
