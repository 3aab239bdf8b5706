"""What happens to a run or batch between queue and end: sent, leased, kept, given up, cancelled, swept.

A remote job is a training run or a batch of suggestions. What differs between the two is in `kinds`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeVar

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from flywheel.core.actors import SYSTEM, Actor
from flywheel.core.errors import Conflict
from flywheel.core.permissions import require
from flywheel.core.text import plain_text
from flywheel.runs import domain
from flywheel.runs.models import REMOTE_MODELS, RemoteJob
from flywheel.runs.services import budget_ledger
from flywheel.runs.services.kinds import kind_of
from flywheel.runs.services.leases import (
    LeaseLost,
    job_finish,
    job_give_up,
    job_ledger,
    job_locked,
    lease_check,
    lease_length,
    lease_seconds,
    reason_to_stop,
    trainer_of,
)
from flywheel.work.claims import RetryLater, token_hash, token_new
from flywheel.work.models import Job

Status = Job.Status
J = TypeVar("J", bound=RemoteJob)
TASK = "training.run_job"

CANCEL_GRACE = timedelta(seconds=30)
"""How long a trainer that still answers may take to stop; then its token is void and the job is cancelled."""

SILENCE = timedelta(seconds=10)
"""Five missed heartbeats: a worker that should stop and is this silent is not waited for any longer."""

BUSY_WAIT = 5
"""Seconds until a queued job is looked at again while a trainer works on another."""


def job_send(*, job: RemoteJob) -> bool:
    """Send a queued job to the trainers, its files prepared. False when the job is not queued any more.

    Raises RetryLater for one that was sent before while a trainer is busy, because it simply waits its turn.
    """
    busy = Job.objects.filter(
        kind__in=list(REMOTE_MODELS), status__in=domain.LEASED, claim_expires_at__gt=timezone.now()
    )
    if job.dispatches and busy.exists():
        raise RetryLater("a trainer is busy with another job", seconds=BUSY_WAIT)
    kind_of(job).prepare(job)
    return job_dispatch(job=job)


def job_dispatch(*, job: RemoteJob) -> bool:
    """Send a queued job's message to the trainers with a fresh token. False when the job is not queued any more."""
    token = token_new()
    with transaction.atomic():
        job = job_locked(job)
        if job.status != Status.QUEUED:
            return False
        job.claim_sha256, job.dispatches = token_hash(token), job.dispatches + 1
        # When this message counts as lost and the sweep sends another, with another token.
        job.available_at = timezone.now() + timedelta(seconds=domain.redispatch_after(job.dispatches))
        job.save(update_fields=["claim_sha256", "dispatches", "available_at"])
        job_ledger(job, "dispatch", actor=SYSTEM, payload={"dispatch": job.dispatches})
    # After the commit: a trainer that is quick must find the token's hash.
    current_app.send_task(
        TASK, kwargs={"kind": job.kind, "job_id": str(job.uid), "token": token}, queue=settings.FLYWHEEL["GPU_QUEUE"],
        ignore_result=True,
    )
    return True


def job_lease(*, job: J, token: str, worker: str) -> J:
    """Give the job to a worker. The same worker asking again, its answer lost, gets the same lease.

    Raises TokenRefused, and LeaseLost when another worker has it, it has ended, or its snapshot was tainted.
    """
    worker = worker[:200]
    with transaction.atomic():
        job = job_locked(job, token)
        if job.status in domain.LEASED and job.claimed_by == worker:
            return job
        if job.status == Status.QUEUED:
            if refusal := kind_of(job).refusal(job):
                # The walk of a withdrawal cancels it too; a trainer that is quicker must not begin.
                job.error = refusal
                job_finish(job, Status.CANCELLED, actor=SYSTEM, payload={"reason": refusal})
            else:
                now = timezone.now()
                job.status, job.claimed_by, job.attempts = Status.RUNNING, worker, job.attempts + 1
                job.claim_expires_at, job.heartbeat_at, job.error = now + lease_length(), now, ""
                job.started_at = job.started_at or now
                job.save()
                job_ledger(job, "lease", actor=trainer_of(job), payload={"attempt": job.attempts})
    if job.status != Status.RUNNING or job.claimed_by != worker:
        raise LeaseLost(f"{job.object_ref} is {job.get_status_display().lower()}; it cannot be leased")
    return job


def job_heartbeat(*, job: RemoteJob, token: str, done: int | None = None) -> dict[str, Any]:
    """Renew the lease and meter it. Returns {"cancel": bool, "reason": str, "lease_seconds": int}.

    A lease that expired while the web was away is renewed as long as no other worker took the job.
    """
    with transaction.atomic():
        job = job_locked(job, token)
        if job.status not in domain.LEASED:
            raise LeaseLost(f"{job.object_ref} is {job.get_status_display().lower()}; stop working on it")
        now = timezone.now()
        budget_ledger.meter(job, now)
        job.claim_expires_at = now + lease_length()
        if done is not None and kind_of(job).counts_by_heartbeat:
            job.done = min(max(done, 0), job.total or 0)
        job.save(update_fields=["claim_expires_at", "seconds", "heartbeat_at", "cost", "done"])
    return {"cancel": bool(why := reason_to_stop(job)), "reason": why, "lease_seconds": lease_seconds()}


def job_fail(*, job: J, token: str, error: str, retry: bool = False, released: bool = False) -> J:
    """A worker gives the job up. With `retry` it is queued again, a bounded number of times, and resumes from its
    checkpoint; `released` means that the worker was asked to stop, so the attempt does not count as a failure."""
    with transaction.atomic():
        job = job_locked(job, token)
        if job.status in domain.ENDED:
            return job
        lease_check(job)
        budget_ledger.meter(job, timezone.now())
        job_give_up(job, error=error, retry=retry, released=released, actor=trainer_of(job))
    return job


def remote_job_cancel(*, job: J, by: Actor, reason: str = "") -> J:
    """Cancel a job: at once if it has no worker or its worker is silent, else through the next heartbeat.

    Raises Forbidden without the permission "run.cancel", and Conflict for a job that has ended.
    """
    reason = plain_text(reason)[:2000]
    require("run.cancel", by, job)
    with transaction.atomic():
        job = job_locked(job)
        if job.status in domain.ENDED:
            raise Conflict(f"{job.object_ref} has already ended ({job.get_status_display().lower()})")
        if job.status == Status.CANCELLING:
            return job
        job.cancel_requested_at, job.error = timezone.now(), reason
        if job.status != Status.RUNNING or _silent(job):
            job_finish(job, Status.CANCELLED, actor=by, payload={"reason": reason})
            return job
        job.status = Status.CANCELLING
        job.save()
        job_ledger(job, "cancel", actor=by, payload={"reason": reason})
    return job


def remote_jobs_sweep(*, limit: int = 100) -> int:
    """End or requeue jobs whose worker is gone, does not stop, or spends beyond its reservation. Returns how many."""
    now, swept = timezone.now(), 0
    for model in REMOTE_MODELS.values():
        leased = model._default_manager.filter(status__in=domain.LEASED)
        expired = leased.filter(claim_expires_at__lte=now)
        cancelling = leased.filter(status=Status.CANCELLING)
        stubborn = cancelling.filter(
            Q(cancel_requested_at__lte=now - CANCEL_GRACE) | Q(heartbeat_at__lte=now - SILENCE)
        )
        overspent = leased.filter(status=Status.RUNNING, reserved__gt=0, cost__gt=F("reserved"))
        # Three queries, because each has an index or few rows; a job may be found by several.
        found = {
            job.pk: job for rows in (expired, stubborn, overspent) for job in rows.order_by("claim_expires_at")[:limit]
        }
        swept += sum(_sweep_one(job) for job in found.values())
    return swept


def _sweep_one(job: RemoteJob) -> bool:
    with transaction.atomic():
        # Looked at again under the lock: a heartbeat may have come since.
        locked = job_locked(job)
        if locked.status not in domain.LEASED:
            return False
        if locked.status == Status.RUNNING and budget_ledger.overrun(locked):
            locked.error = (
                f"it should have stopped when the {locked.reserved} that were set aside were used up, and went on to "
                f"{locked.cost}; its token is void"
            )
            job_finish(locked, Status.FAILED, actor=SYSTEM, payload={"error": locked.error})
        elif _worker_gone(locked):
            job_give_up(
                locked, retry=True, released=False, actor=SYSTEM,
                error=f"worker {locked.claimed_by or '?'} gave no sign of life for {lease_seconds()} s",
            )
        else:
            return False
    return True


def _worker_gone(job: RemoteJob) -> bool:
    """Whether the worker's lease has expired, or it should stop and does not."""
    now = timezone.now()
    if job.claim_expires_at is not None and job.claim_expires_at <= now:
        return True
    asked = job.cancel_requested_at
    return job.status == Status.CANCELLING and (_silent(job) or (asked is not None and asked <= now - CANCEL_GRACE))


def _silent(job: RemoteJob) -> bool:
    """Whether several heartbeats in a row did not come."""
    return job.heartbeat_at is not None and job.heartbeat_at <= timezone.now() - SILENCE
