"""Leases of trainers on runs and batches: queueing, taking, keeping and losing them, cancelling, sweeping.

A token is good for one job until it is queued again, which mints a new one when the message is sent; only its hash
is stored. The row is the truth: a message that is lost, late or delivered twice changes nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.core.actors import Actor
from flywheel.core.errors import Conflict, UserError
from flywheel.core.permissions import require
from flywheel.core.text import plain_text
from flywheel.datasets.selectors import unusable
from flywheel.runs import domain
from flywheel.runs.models import LeasedJob, SuggestionBatch, TrainingRun
from flywheel.runs.selectors import KINDS, Leased, kind_of
from flywheel.runs.services import budget_ledger
from flywheel.runs.services.run_requests import DISPATCH_TOPIC
from flywheel.work.jobs import job_add

Status = LeasedJob.Status
TASK = "training.run_job"
MAX_FAILURES = 5
"""Attempts in a row that may die without a checkpoint in between."""

CANCEL_GRACE = timedelta(seconds=30)
"""How long a trainer that still answers may take to stop; then its token is void and the run is cancelled."""

SILENCE = timedelta(seconds=10)
"""Five heartbeats that did not come: whoever is to be cancelled is not waited for any longer."""

TAINTED = "consent to rows of its snapshot was withdrawn"

_NOBODY = hashlib.sha256(b"no such job").hexdigest()


class TokenRefused(UserError):
    """No token, or one of another job or of an earlier attempt."""

    status = 401
    code = "token_refused"


class LeaseLost(UserError):
    """The token was right, but its job has ended or its lease has run out."""

    status = 403
    code = "lease_lost"


def token_hash(token: str) -> str:
    """How a token is stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def job_authenticate(*, kind: str, uid: object, token: str) -> Leased:
    """The job that a token is good for. Raises TokenRefused; takes the same time whether the job exists or not."""
    model = KINDS.get(kind)
    job = model.objects.filter(uid=str(uid)).first() if model else None
    _token_check(job, token)
    assert job is not None
    return job


def lease_check(job: Leased) -> None:
    """Raises LeaseLost unless the job is under a live lease."""
    if job.status not in domain.LEASED:
        raise LeaseLost(f"{kind_of(job)} {job.uid} is {job.get_status_display().lower()}; this token is void")
    if job.lease_expires_at is None or job.lease_expires_at <= timezone.now():
        raise LeaseLost(f"the lease on {kind_of(job)} {job.uid} has run out; renew it with a heartbeat")


def job_locked(job: Leased, token: str | None = None) -> Leased:
    """The row, locked until commit; with a token, checked again under the lock. Raises TokenRefused."""
    model = type(job)
    locked = model.objects.select_for_update(of=("self",)).select_related("device").get(pk=job.pk)
    if token is not None:
        _token_check(locked, token)
    return locked


def _token_check(job: Leased | None, token: str) -> None:
    stored = job.token_sha256 if job is not None and job.token_sha256 else _NOBODY
    if not hmac.compare_digest(stored, token_hash(token)) or job is None:
        raise TokenRefused("this token is not good for this job; the job was queued again, or the token is another's")


def run_dispatch(*, kind: str, job_id: int) -> bool:
    """Send a queued job's message to the trainers with a fresh token. False when the job is not queued any more."""
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        job = KINDS[kind].objects.select_for_update().filter(pk=job_id, status=Status.QUEUED).first()
        if job is None:
            return False
        job.token_sha256, job.dispatched_at = token_hash(token), timezone.now()
        job.dispatches += 1
        job.save(update_fields=["token_sha256", "dispatched_at", "dispatches"])
        ledger_append(
            actor="system", action=Action(f"{kind}.dispatch"), object=f"{kind}:{job.uid}",
            touched={kind_of(job): [job.pk]},
            payload={
                "dispatch": job.dispatches,
            },
        )
    current_app.send_task(
        TASK, kwargs={"kind": kind, "job_id": str(job.uid), "token": token}, queue=settings.FLYWHEEL["GPU_QUEUE"],
        ignore_result=True,
    )
    return True


def run_lease(*, run: Leased, token: str, worker: str) -> Leased:
    """Give the job to a worker. The same worker asking again, its answer lost, gets the same lease.

    Raises TokenRefused, and LeaseLost when somebody else has it, it has ended, or its snapshot was tainted.
    """
    with transaction.atomic():
        job = job_locked(run, token)
        if job.status in domain.LEASED and job.worker_name == worker:
            return job
        if job.status == Status.QUEUED:
            _lease(job, worker)
    if job.status != Status.RUNNING or job.worker_name != worker[:200]:
        raise LeaseLost(f"{kind_of(job)} {job.uid} is {job.get_status_display().lower()}; it cannot be leased")
    return job


def _lease(job: Leased, worker: str) -> None:
    if isinstance(job, TrainingRun) and (problem := unusable(job.snapshot)):
        # The walk of a withdrawal cancels it too; a trainer that is quicker must not begin.
        job.error = problem
        finish(job, Status.CANCELLED, actor="system", payload={"reason": problem})
        return
    now = timezone.now()
    job.status, job.worker_name, job.attempt = Status.RUNNING, worker[:200], job.attempt + 1
    job.lease_expires_at, job.metered_at, job.error = now + lease_length(), now, ""
    job.started_at = job.started_at or now
    job.save()
    ledger_append(
        actor=f"trainer:{worker[:150]}", action=Action(f"{kind_of(job)}.lease"), object=ref(job),
        touched={kind_of(job): [job.pk]},
        payload={
            "attempt": job.attempt,
        },
    )


def run_heartbeat(*, run: Leased, token: str, done: int | None = None) -> dict[str, Any]:
    """Renew the lease and meter it. Answers {"cancel": bool, "reason": str, "lease_seconds": int}.

    A lease that ran out while the web was away is renewed as long as nobody else took the job.
    """
    with transaction.atomic():
        job = job_locked(run, token)
        if job.status not in domain.LEASED:
            raise LeaseLost(f"{kind_of(job)} {job.uid} is {job.get_status_display().lower()}; stop working on it")
        now = timezone.now()
        budget_ledger.meter(job, now)
        job.lease_expires_at = now + lease_length()
        fields = ["lease_expires_at", "seconds", "metered_at", "cost"]
        if done is not None and isinstance(job, SuggestionBatch):
            job.done = min(max(done, 0), job.total)
            fields.append("done")
        job.save(update_fields=fields)
    return {"cancel": bool(why := reason_to_stop(job)), "reason": why, "lease_seconds": _lease_seconds()}


def reason_to_stop(job: Leased) -> str:
    """Why a leased job is to be stopped now, "" while it is not."""
    if job.status == Status.CANCELLING:
        return "cancelled"
    if budget_ledger.over_reservation(job):
        return f"budget: the {job.reserved} that were set aside are used up"
    return ""


def run_fail(*, run: Leased, token: str, error: str, retry: bool = False, released: bool = False) -> Leased:
    """A worker gives the job up. With `retry` it is queued again, to go on from its checkpoint, a bounded number of
    times; `released` means that the worker was asked to stop, which is nobody's fault and not counted."""
    with transaction.atomic():
        job = job_locked(run, token)
        if job.status in domain.ENDED:
            return job
        lease_check(job)
        budget_ledger.meter(job, timezone.now())
        give_up(job, error=error, retry=retry, released=released, actor=f"trainer:{job.worker_name[:150]}")
    return job


def give_up(job: Leased, *, error: str, retry: bool, released: bool, actor: str) -> None:
    """End an attempt on a locked job: cancelled when that was asked for, queued again, or failed."""
    if job.status == Status.CANCELLING:
        finish(job, Status.CANCELLED, actor=actor, payload={"attempt": job.attempt})
        return
    job.failures += 0 if released else 1
    if retry and job.failures < MAX_FAILURES:
        job.status, job.token_sha256, job.lease_expires_at = Status.QUEUED, "", None
        job.error, job.metered_at, job.worker_name = error[:2000], None, ""
        job.queued_at, job.dispatched_at, job.dispatches = timezone.now(), None, 0
        job.save()
        job_add(kind=DISPATCH_TOPIC, payload={"kind": kind_of(job), "job": job.pk},
                   dedupe_key=f"{kind_of(job)}:{job.pk}")
        ledger_append(
            actor=actor, action=Action(f"{kind_of(job)}.requeue"), object=ref(job),
            touched={kind_of(job): [job.pk]},
            payload={
                "attempt": job.attempt, "error": error[:500], "failures": job.failures,
            },
        )
        return
    if retry:
        error = f"{job.failures} attempts in a row ended without a checkpoint; the last said: {error}"
    job.error = error[:4000]
    finish(job, Status.FAILED, actor=actor, payload={"attempt": job.attempt, "error": error[:500]})


def finish(job: Leased, status: str, *, actor: Any, payload: dict[str, Any]) -> None:
    """End a locked job: settle its money, void its lease, write the ledger. Raises Conflict from a wrong state."""
    if not domain.may_become(job.status, status):
        raise Conflict(f"{kind_of(job)} {job.uid} is {job.get_status_display().lower()} and cannot become {status}")
    budget_ledger.settle(job)
    job.status, job.finished_at, job.lease_expires_at = status, timezone.now(), None
    job.save()
    ledger_append(
        actor=actor, action=Action(f"{kind_of(job)}.{status}"), object=ref(job),
        touched={kind_of(job): [job.pk]},
        payload=payload | {
            "cost": str(job.cost), "seconds": round(job.seconds, 1),
        },
    )


def run_cancel(*, run: Leased, by: Actor, reason: str = "") -> Leased:
    """Cancel a job: at once while no worker has it or its worker has gone silent, else through the next heartbeat.

    Raises Forbidden without the permission "run.cancel", and Conflict for a job that has ended.
    """
    reason = plain_text(reason)[:2000]
    require("run.cancel", by, run)
    with transaction.atomic():
        job = job_locked(run)
        if job.status in domain.ENDED:
            raise Conflict(f"{kind_of(job)} {job.uid} has already ended ({job.get_status_display().lower()})")
        if job.status == Status.CANCELLING:
            return job
        job.cancel_requested_at, job.error = timezone.now(), reason
        if job.status != Status.RUNNING or _silent(job):
            finish(job, Status.CANCELLED, actor=by, payload={"reason": reason})
            return job
        job.status = Status.CANCELLING
        job.save()
        ledger_append(
            actor=by, action=Action(f"{kind_of(job)}.cancel"), object=ref(job),
            touched={kind_of(job): [job.pk]},
            payload={"reason": reason},
        )
    return job


def runs_sweep(*, limit: int = 100) -> int:
    """Take care of jobs whose worker or message is gone. Returns how many were changed or nudged."""
    return sum(_sweep_leases(kind, limit) + _sweep_queue(kind, limit) for kind in KINDS)


def _sweep_leases(kind: str, limit: int) -> int:
    now = timezone.now()
    leased = KINDS[kind].objects.filter(status__in=domain.LEASED)
    expired = leased.filter(lease_expires_at__lte=now)
    cancelling = leased.filter(status=Status.CANCELLING)
    stubborn = cancelling.filter(Q(cancel_requested_at__lte=now - CANCEL_GRACE) | Q(metered_at__lte=now - SILENCE))
    dear = leased.filter(status=Status.RUNNING, reserved__gt=0, cost__gt=F("reserved"))
    found = {job.pk: job for group in (expired, stubborn, dear) for job in group.order_by("lease_expires_at")[:limit]}
    return sum(_sweep_one(job) for job in found.values())


def _sweep_one(job: Leased) -> bool:
    with transaction.atomic():
        locked = job_locked(job)
        if locked.status not in domain.LEASED:
            return False
        if locked.status == Status.RUNNING and budget_ledger.overrun(locked):
            locked.error = (
                f"it was told to stop when the {locked.reserved} that were set aside were used up, and went on to "
                f"{locked.cost}; its token is void"
            )
            finish(locked, Status.FAILED, actor="system", payload={"error": locked.error})
        elif _gone(locked):
            give_up(
                locked, retry=True, released=False, actor="system",
                error=f"worker {locked.worker_name or '?'} gave no sign of life for {_lease_seconds()} s",
            )
        else:
            return False
    return True


def _gone(job: Leased) -> bool:
    """Whether the worker's lease has run out, or it does not stop although it was told to, or cannot."""
    now = timezone.now()
    if job.lease_expires_at is not None and job.lease_expires_at <= now:
        return True
    told = job.cancel_requested_at
    return job.status == Status.CANCELLING and (_silent(job) or (told is not None and told <= now - CANCEL_GRACE))


def _silent(job: Leased) -> bool:
    """Whether several heartbeats in a row did not come."""
    return job.metered_at is not None and job.metered_at <= timezone.now() - SILENCE


def _sweep_queue(kind: str, limit: int) -> int:
    """Send messages again that seem lost; while a trainer is busy a queued job simply waits its turn."""
    now = timezone.now()
    if any(m.objects.filter(status__in=domain.LEASED, lease_expires_at__gt=now).exists() for m in KINDS.values()):
        return 0
    waiting = KINDS[kind].objects.filter(status=Status.QUEUED, dispatched_at__isnull=False).order_by("queued_at")
    lost = [
        job for job in waiting[:limit]
        if (now - (job.dispatched_at or now)).total_seconds() > domain.redispatch_after(job.dispatches)
    ]
    with transaction.atomic():
        for job in lost:
            job_add(kind=DISPATCH_TOPIC, payload={"kind": kind, "job": job.pk}, dedupe_key=f"{kind}:{job.pk}")
    return len(lost)


def lease_length() -> timedelta:
    """How long a lease lasts without a heartbeat."""
    return timedelta(seconds=_lease_seconds())


def _lease_seconds() -> int:
    return int(settings.FLYWHEEL["RUN_LEASE_SECONDS"])


def ref(job: Leased) -> str:
    """How a job stands in the ledger."""
    return f"{kind_of(job)}:{job.uid}"
