"""Leases of trainers on runs and batches: proving one, losing one, ending one.

A lease is a claim on a `work.Job` that a trainer holds over HTTP. The row is the truth: a message that is lost, late or
delivered twice changes nothing. The acts of a trainer are in `remote_jobs`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeVar, cast

from django.conf import settings
from django.utils import timezone

from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.core.actors import Actor, SystemActor
from flywheel.core.errors import Conflict, UserError
from flywheel.runs import domain
from flywheel.runs.models import REMOTE_MODELS, RemoteJob
from flywheel.runs.services import budget_ledger
from flywheel.work.claims import token_fits
from flywheel.work.jobs import job_enqueue
from flywheel.work.models import Job

Status = Job.Status
J = TypeVar("J", bound=RemoteJob)

MAX_FAILURES = 5
"""Attempts in a row that may die without a checkpoint in between."""


class TokenRefused(UserError):
    """No token, or one of another job or of an earlier attempt."""

    status = 401
    code = "token_refused"


class LeaseLost(UserError):
    """The token was right, but its job has ended or its lease has expired."""

    status = 403
    code = "lease_lost"


def job_authenticate(*, kind: str, uid: object, token: str) -> RemoteJob:
    """The job whose current attempt this token belongs to. Raises TokenRefused."""
    model = REMOTE_MODELS.get(kind)
    job = model._default_manager.filter(uid=str(uid)).first() if model else None
    _token_check(job, token)
    assert job is not None
    return job


def _token_check(job: RemoteJob | None, token: str) -> None:
    if not token_fits(job, token):
        raise TokenRefused("this token does not fit this job; the job was queued again, or the token is another job's")


def lease_check(job: RemoteJob) -> None:
    """Raises LeaseLost unless the job is under a live lease."""
    if job.status not in domain.LEASED:
        raise LeaseLost(f"{job.object_ref} is {job.get_status_display().lower()}; this token is void")
    if job.claim_expires_at is None or job.claim_expires_at <= timezone.now():
        raise LeaseLost(f"the lease on {job.object_ref} has expired; renew it with a heartbeat")


def job_locked(job: J, token: str | None = None) -> J:
    """The row, locked until commit; with a token, checked again under the lock. Raises TokenRefused."""
    # Both tables' rows, because the claim is in the one and the money in the other.
    rows = type(job)._default_manager.select_for_update(of=("self", "job")).select_related("device")
    locked = cast(J, rows.get(pk=job.pk))
    if token is not None:
        _token_check(locked, token)
    return locked


def lease_length() -> timedelta:
    """How long a lease lasts without a heartbeat."""
    return timedelta(seconds=lease_seconds())


def lease_seconds() -> int:
    """How long a lease lasts without a heartbeat, in whole seconds."""
    return int(settings.FLYWHEEL["RUN_LEASE_SECONDS"])


def trainer_of(job: RemoteJob) -> SystemActor:
    """How the ledger names the worker that holds the job."""
    return SystemActor(f"trainer:{job.claimed_by[:150]}")


def reason_to_stop(job: RemoteJob) -> str:
    """Why a leased job should stop now, "" while it should not."""
    if job.status == Status.CANCELLING:
        return "cancelled"
    if budget_ledger.over_reservation(job):
        return f"budget: the {job.reserved} that were set aside are used up"
    return ""


def job_give_up(job: RemoteJob, *, error: str, retry: bool, released: bool, actor: Actor) -> None:
    """End an attempt on a locked job: cancelled when that was requested, queued again, or failed."""
    if job.status == Status.CANCELLING:
        job_finish(job, Status.CANCELLED, actor=actor, payload={"attempt": job.attempts})
        return
    # A worker that was asked to stop is not at fault, so its attempt does not count against the job.
    job.failures += 0 if released else 1
    if retry and job.failures < MAX_FAILURES:
        job_enqueue(job)
        job.error = error[:2000]
        job.save()
        job_ledger(job, "requeue", actor=actor, payload={
            "attempt": job.attempts, "error": error[:500], "failures": job.failures,
        })
        return
    if retry:
        error = f"{job.failures} attempts in a row ended without a checkpoint; the last error: {error}"
    job.error = error[:4000]
    job_finish(job, Status.FAILED, actor=actor, payload={"attempt": job.attempts, "error": error[:500]})


def job_finish(job: RemoteJob, status: str, *, actor: Actor, payload: dict[str, Any]) -> None:
    """End a locked job: settle its money, end its lease, write the ledger. Raises Conflict from a wrong state."""
    if not domain.may_become(job.status, status):
        raise Conflict(f"{job.object_ref} is {job.get_status_display().lower()} and cannot become {status}")
    budget_ledger.settle(job)
    # The token's hash stays, so that a worker whose answer was lost may report the end once more.
    job.status, job.finished_at, job.claim_expires_at = status, timezone.now(), None
    job.save()
    job_ledger(job, status, actor=actor, payload=payload | {
        "cost": str(job.cost), "seconds": round(job.seconds, 1),
    })


def job_ledger(job: RemoteJob, what: str, *, actor: Actor, payload: dict[str, Any]) -> None:
    """Write one act on a run or batch to the ledger, under "run.<what>" or "suggestions.<what>"."""
    ledger_append(
        actor=actor, action=Action(f"{job.kind}.{what}"), object=job.object_ref, touched={job.kind: [job.pk]},
        payload=payload,
    )
