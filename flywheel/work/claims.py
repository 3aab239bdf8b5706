"""Claims: the time-limited right of one attempt to work on one job.

A claim is proved by a token whose hash is on the job's row. Every new claim has a new token, so that an attempt that
was paused and resumes can no longer write.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from flywheel.work.models import Job

Status = Job.Status

_NO_SUCH_JOB = hashlib.sha256(b"no such job").hexdigest()


class Superseded(Exception):
    """The claim is stale: another attempt holds the job, or it has ended. A stale worker must not write."""


class JobCancelled(Exception):
    """Raised inside the work once a person has asked to cancel it. Its text becomes the job's summary."""


class JobFailed(Exception):
    """Raised by work that no retry can help. Its text becomes the job's summary."""


class RetryLater(Exception):
    """Raised by work that cannot be done yet; the job is tried again after `seconds` and no failure is counted."""

    def __init__(self, reason: str, *, seconds: float = 5) -> None:
        super().__init__(reason)
        self.seconds = seconds


def token_new() -> str:
    """A token that cannot be guessed: 256 bits, URL-safe."""
    return secrets.token_urlsafe(32)


def token_hash(token: str) -> str:
    """How a token is stored: SHA-256, 64 hex digits. A fast hash is enough because the token is random."""
    return hashlib.sha256(token.encode()).hexdigest()


def token_fits(job: Job | None, token: str) -> bool:
    """Whether the token is the one of the job's current attempt."""
    stored = job.claim_sha256 if job is not None and job.claim_sha256 else _NO_SUCH_JOB
    # Compared in constant time, and also when there is no such job, so that timing reveals nothing to a stranger.
    return hmac.compare_digest(stored, token_hash(token)) and job is not None


def claim_length() -> timedelta:
    """How long a local attempt may go without a sign of life before another worker may claim the job."""
    return timedelta(seconds=settings.FLYWHEEL["CLAIM_SECONDS"])


@dataclass(frozen=True, slots=True)
class Claim:
    """What the work of a job is given: the job's row as it was claimed, and the token of this attempt."""

    job: Job
    token: str

    @property
    def payload(self) -> dict[str, Any]:
        """What was asked for."""
        payload: dict[str, Any] = self.job.payload
        return payload

    def held(self) -> QuerySet[Job]:
        """The job's row as long as this claim is the current one; no row after that."""
        return Job.objects.filter(pk=self.job.pk, status=Status.RUNNING, claim_sha256=token_hash(self.token))

    def extend(self, **fields: Any) -> None:
        """Keep the claim for its full length from now, and set `fields` with it. Raises Superseded."""
        now = timezone.now()
        if not self.held().update(claim_expires_at=now + claim_length(), heartbeat_at=now, **fields):
            raise Superseded(f"job {self.job.pk} ({self.job.kind}) is held by another attempt, or has ended")

    def progress(self, done: int, total: int | None = None, **fields: Any) -> None:
        """Record progress and keep the claim. Raises JobCancelled once a cancel was requested, and Superseded."""
        # Progress is proof that this job does not kill its worker, so earlier failures no longer count.
        fields |= {"done": done, "failures": 0} | ({} if total is None else {"total": total})
        self.extend(**fields)
        self.cancel_check()

    def cancel_check(self) -> None:
        """Raises JobCancelled once a cancel was requested."""
        if self.held().filter(cancel_requested_at__isnull=False).exists():
            raise JobCancelled("Cancelled.")

    def lock(self) -> None:
        """Keep the job ours until the caller's transaction ends. Raises Superseded when it is not."""
        # Rows that refer to the job may still be inserted by others: they need its key only.
        if self.held().select_for_update(no_key=True).values_list("pk", flat=True).first() is None:
            raise Superseded(f"job {self.job.pk} ({self.job.kind}) is held by another attempt, or has ended")
