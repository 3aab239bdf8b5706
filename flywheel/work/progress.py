"""Long work that a person watches: start, progress, cancel, end in a sentence.

The work itself belongs to the app that asked for it and is driven by the outbox.
"""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from flywheel.core.errors import Conflict, NotFound
from flywheel.core.models import User
from flywheel.work.models import Job


class JobCancelled(Exception):
    """Raised inside the work once a person has asked to cancel it."""


def job_start(
    *, kind: str, title: str, requested_by: User | None, object_ref: str = "", total: int | None = None,
    unit: str = "rows",
) -> Job:
    """Create the row that shows a long job, queued."""
    return Job.objects.create(
        kind=kind, title=title[:200], requested_by=requested_by, object_ref=object_ref, total_units=total, unit=unit
    )


def job_progress(*, job_id: int, done: int, total: int | None = None) -> None:
    """Record progress. Raises JobCancelled when the job was cancelled meanwhile."""
    fields: dict[str, Any] = {"done_units": done, "status": Job.Status.RUNNING}
    if total is not None:
        fields["total_units"] = total
    changed = Job.objects.filter(
        pk=job_id, cancel_requested_at=None, status__in=[Job.Status.QUEUED, Job.Status.RUNNING]
    ).update(**fields)
    Job.objects.filter(pk=job_id, started_at=None).update(started_at=timezone.now())
    if not changed:
        raise JobCancelled(f"job {job_id} was cancelled")


def job_finish(*, job_id: int, summary: str, status: str = Job.Status.DONE) -> None:
    """End a job with a sentence. A job that has ended keeps its first ending."""
    Job.objects.filter(pk=job_id, finished_at=None).update(
        status=status, summary=summary, finished_at=timezone.now()
    )


def job_cancel(*, job_uid: str) -> Job:
    """Ask a job to stop at its next step. Raises NotFound, and Conflict when it has already ended."""
    job = Job.objects.filter(uid=job_uid).first()
    if job is None:
        raise NotFound(f"there is no job {job_uid}")
    if job.finished_at is not None:
        raise Conflict(f"job '{job.title}' has already ended ({job.get_status_display().lower()})")
    Job.objects.filter(pk=job.pk, cancel_requested_at=None).update(cancel_requested_at=timezone.now())
    job.refresh_from_db()
    return job
