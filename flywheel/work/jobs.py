"""Jobs from request to end: add, nudge, claim, run, retry, cancel, sweep.

`job_add` writes the row in the caller's transaction and wakes Celery on commit; `job_run` runs one job; `jobs_sweep`
finds rows whose message or worker was lost. Work runs at least once, so every kind must tolerate a second run.
"""

from __future__ import annotations

import logging
import socket
from datetime import timedelta
from typing import Any

from celery import current_app
from django.db import transaction
from django.db.models import Case, F, IntegerField, Q, QuerySet, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from flywheel.core.actors import Actor
from flywheel.core.errors import Conflict, NotFound
from flywheel.core.models import User
from flywheel.work.claims import (
    Claim,
    JobCancelled,
    JobFailed,
    RetryLater,
    Superseded,
    claim_length,
    token_hash,
    token_new,
)
from flywheel.work.models import Job
from flywheel.work.registry import MAX_FAILURES, JobKind, job_kind_of, job_kinds

log = logging.getLogger(__name__)

Status = Job.Status
MAX_WAIT = 300
"""Longest pause between two attempts, in seconds."""

HEAD_START = timedelta(seconds=5)
"""How long a fresh row's own nudge is left alone, so that the sweep does not send everything twice."""


def job_add(
    *, kind: str, payload: dict[str, Any] | None = None, dedupe_key: str = "", delay: timedelta = timedelta(0),
    title: str = "", object_ref: str = "", requested_by: User | None = None, total: int | None = None,
    unit: str = "rows",
) -> Job:
    """Ask for work after this transaction commits, not before `delay` has passed.

    With `dedupe_key`, a job of the same kind and key that already waits (for long work: that has not ended) serves
    for both and is returned.
    """
    now = timezone.now()
    job = Job(
        kind=kind, payload=payload or {}, dedupe_key=dedupe_key, visible=job_kind_of(kind).visible, title=title[:220],
        object_ref=object_ref, requested_by=requested_by, total=total, unit=unit, queued_at=now,
        available_at=now + delay,
    )
    if dedupe_key:
        job = _job_add_once(job)
    else:
        job.save(force_insert=True)
    if not delay:
        transaction.on_commit(lambda: job_nudge(job.pk))
    return job


def _job_add_once(job: Job) -> Job:
    same = Job.objects.filter(kind=job.kind, dedupe_key=job.dedupe_key)
    present = same.filter(finished_at=None) if job.visible else same.filter(status=Status.QUEUED, attempts=0)
    while (found := present.first()) is None:
        # The loop ends: either our row is inserted, or another's waits. It repeats only if that was claimed meanwhile.
        Job.objects.bulk_create([job], ignore_conflicts=True)
    return found


def job_begin(
    *, kind: str, title: str, payload: dict[str, Any] | None = None, object_ref: str = "",
    requested_by: User | None = None, total: int | None = None, unit: str = "rows",
) -> Claim:
    """Add a job that the calling process does itself, such as a command at the command line, and claim it.

    The caller reports progress and calls `job_end`. If it dies, its claim expires and a worker runs the kind's work,
    which should then end the job with a sentence about how to go on.
    """
    now, token = timezone.now(), token_new()
    job = Job.objects.create(
        kind=kind, payload=payload or {}, visible=job_kind_of(kind).visible, title=title[:220], object_ref=object_ref,
        requested_by=requested_by, total=total, unit=unit, status=Status.RUNNING, claim_sha256=token_hash(token),
        claimed_by=socket.gethostname()[:200], claim_expires_at=now + claim_length(), heartbeat_at=now, attempts=1,
        queued_at=now, available_at=now, started_at=now,
    )
    return Claim(job, token)


def job_enqueue(job: Job) -> None:
    """Queue a row that the caller has locked or is about to insert; the caller saves it. Nudges on commit."""
    now = timezone.now()
    job.status, job.queued_at, job.available_at, job.dispatches = Status.QUEUED, now, now, 0
    job.claim_sha256, job.claimed_by, job.claim_expires_at, job.heartbeat_at = "", "", None, None
    # The key is read on commit, because a new row has none before it is saved.
    transaction.on_commit(lambda: job_nudge(job.pk))


def job_nudge(job_id: int) -> None:
    """Have a local worker look at the job now. Best effort."""
    try:
        # By its name, because the task's module imports this one.
        current_app.send_task("work.run", args=[job_id], ignore_result=True)
    except Exception:
        # The broker may be away. The row stays, and the sweep sends it again.
        log.warning("the broker did not take job %s; the sweep will send it again", job_id)


# -- running ---------------------------------------------------------------------------------------------------------
def job_run(job_id: int) -> bool:
    """Run one job, or send it to the trainers. Returns whether it was done now; safe to call any number of times."""
    name = Job.objects.filter(pk=job_id).values_list("kind", flat=True).first()
    if name is None:
        return False
    kind = job_kind_of(name)
    if kind.work is None:
        return _job_send(job_id, kind)
    claim = job_claim(job_id)
    return claim is not None and _claim_run(claim, kind)


def job_claim(job_id: int) -> Claim | None:
    """Claim a due job, or one whose worker's claim has expired; None when it is neither."""
    now, token = timezone.now(), token_new()
    # One conditional update: of two workers that try at once the database lets one through.
    claimed = Job.objects.filter(_due() | _expired(), pk=job_id).update(
        status=Status.RUNNING, claim_sha256=token_hash(token), claimed_by=socket.gethostname()[:200],
        claim_expires_at=now + claim_length(), heartbeat_at=now, attempts=F("attempts") + 1,
        # A claim that expired means that the worker died; counted, so that a job that kills its worker ends too.
        failures=F("failures") + Case(When(status=Status.RUNNING, then=1), default=0, output_field=IntegerField()),
        started_at=Coalesce(F("started_at"), Value(now)),
    )
    if not claimed:
        return None
    claim = Claim(Job.objects.get(pk=job_id), token)
    if claim.job.failures >= MAX_FAILURES:
        job_end(claim, Status.FAILED, f"{claim.job.failures} workers in a row died while they ran it.")
        return None
    return claim


def _claim_run(claim: Claim, kind: JobKind) -> bool:
    job = claim.job
    assert kind.work is not None
    try:
        summary = kind.work(claim)
    except Superseded as stale:
        log.info("%s; this attempt stops", stale)
    except JobCancelled as cancelled:
        job_end(claim, Status.CANCELLED, str(cancelled))
    except JobFailed as failed:
        job_end(claim, Status.FAILED, str(failed))
    except RetryLater as later:
        _job_retry(claim, str(later), seconds=later.seconds, failures=job.failures)
    except Exception as error:
        log.exception("job %s (%s) failed on attempt %s", job.pk, job.kind, job.attempts)
        reason, failures = f"{type(error).__name__}: {error}"[:2000], job.failures + 1
        if failures >= MAX_FAILURES:
            claim.held().update(failures=failures)
            job_end(claim, Status.FAILED, reason)
        else:
            _job_retry(claim, reason, seconds=min(2**failures, MAX_WAIT), failures=failures)
    else:
        return job_end(claim, Status.DONE, summary or "")
    return False


def _job_retry(claim: Claim, reason: str, *, seconds: float, failures: int) -> None:
    claim.held().update(
        status=Status.QUEUED, available_at=timezone.now() + timedelta(seconds=seconds), failures=failures,
        error=reason[:2000], claim_sha256="", claimed_by="", claim_expires_at=None,
    )


def job_end(claim: Claim, status: str, summary: str) -> bool:
    """End a claimed job with a sentence. A stale claim changes nothing. Returns whether this call ended it."""
    failed = status == Status.FAILED
    return bool(claim.held().update(
        status=status, summary=summary, error=summary[:2000] if failed else "", finished_at=timezone.now(),
        claim_sha256="", claim_expires_at=None,
    ))


def _job_send(job_id: int, kind: JobKind) -> bool:
    # Taking the row out of the queue for one claim's length keeps two nudges from sending it twice.
    taken = Job.objects.filter(_due(), pk=job_id).update(available_at=timezone.now() + claim_length())
    if not taken:
        return False
    job = Job.objects.get(pk=job_id)
    assert kind.send is not None
    try:
        kind.send(job)
    except RetryLater as later:
        wait, reason = later.seconds, str(later)
    except Exception as error:
        log.exception("job %s (%s) could not be sent to the trainers", job_id, kind.name)
        wait, reason = float(min(2 ** min(job.dispatches + 2, 16), MAX_WAIT)), f"{type(error).__name__}: {error}"[:2000]
        # An absent broker is not the job's fault, so it is tried again for as long as it is queued.
        Job.objects.filter(pk=job_id, status=Status.QUEUED).update(error=reason)
    else:
        return True
    Job.objects.filter(pk=job_id, status=Status.QUEUED).update(available_at=timezone.now() + timedelta(seconds=wait))
    return False


# -- what is due -----------------------------------------------------------------------------------------------------
def _due() -> Q:
    return Q(status=Status.QUEUED, available_at__lte=timezone.now())


def _expired() -> Q:
    return Q(status=Status.RUNNING, claim_expires_at__lte=timezone.now())


def _local(rows: QuerySet[Job]) -> QuerySet[Job]:
    # The claim of a trainer that expired is settled where its time is paid for, in runs.
    return rows.exclude(Q(status=Status.RUNNING) & Q(kind__in=[k.name for k in job_kinds().values() if k.send]))


def jobs_sweep(*, limit: int = 200) -> int:
    """Nudge again what is due and not being worked on. Returns how many messages were sent."""
    fresh = Q(attempts=0, dispatches=0, available_at__gt=timezone.now() - HEAD_START)
    due = _local(Job.objects.filter((_due() & ~fresh) | _expired()))
    found = list(due.order_by("available_at", "id").values_list("pk", flat=True)[:limit])
    for job_id in found:
        job_nudge(job_id)
    return len(found)


def jobs_drain(*, limit: int = 100_000) -> int:
    """Run everything that is due here and now, in order: for the command line, tests and recovery by hand."""
    done = 0
    for _ in range(limit):
        due = _local(Job.objects.filter(_due() | _expired()))
        job_id = due.order_by("id").values_list("pk", flat=True).first()
        if job_id is None:
            break
        done += job_run(job_id)
    return done


def jobs_dead() -> QuerySet[Job]:
    """Jobs that were given up after MAX_FAILURES failures in a row. Their fault must be fixed before a retry."""
    return Job.objects.filter(status=Status.FAILED, failures__gte=MAX_FAILURES)


def jobs_retry(*, job_ids: list[int]) -> int:
    """Queue dead jobs again with a full count of attempts. Returns how many were dead."""
    # Long work with a key may have been requested anew since, and only one may be active.
    return jobs_dead().filter(Q(visible=False) | Q(dedupe_key=""), pk__in=job_ids).update(
        status=Status.QUEUED, failures=0, available_at=timezone.now(), finished_at=None, summary=""
    )


def job_cancel(*, job_uid: str, by: Actor) -> Job:
    """Ask a job to stop at its next step, or as its kind does it.

    Raises NotFound, Conflict when it has already ended, and what the kind's own cancel raises.
    """
    job = Job.objects.filter(uid=job_uid).first()
    if job is None:
        raise NotFound(f"job {job_uid} does not exist")
    kind = job_kinds().get(job.kind)
    if kind is not None and not kind.cancellable:
        raise Conflict(f"job '{job.title}' cannot be cancelled; it must run to its end")
    if kind is not None and kind.cancel is not None:
        kind.cancel(job, by)
    else:
        if job.finished_at is not None:
            raise Conflict(f"job '{job.title}' has already ended ({job.get_status_display().lower()})")
        Job.objects.filter(pk=job.pk, cancel_requested_at=None).update(cancel_requested_at=timezone.now())
    job.refresh_from_db()
    return job
