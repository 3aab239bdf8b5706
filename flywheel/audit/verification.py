"""Having the ledger verified as a job that people watch."""

from __future__ import annotations

from django.db import transaction

from flywheel.audit.ledger import LedgerReport, ledger_verify
from flywheel.core.models import User
from flywheel.work.models import Job
from flywheel.work.outbox import outbox_add
from flywheel.work.progress import JobCancelled, job_finish, job_progress, job_start

VERIFY_TOPIC = "ledger.verify"
OBJECT = "ledger"


def ledger_verify_request(*, by: User) -> Job:
    """Ask for the whole chain to be read. While one waits or runs, that one is returned."""
    with transaction.atomic():
        running = Job.objects.filter(object_ref=OBJECT, finished_at=None).first()
        if running is not None:
            return running
        job = job_start(kind="ledger", title="Verify the ledger", requested_by=by, object_ref=OBJECT, unit="entries")
        outbox_add(topic=VERIFY_TOPIC, payload={"job_id": job.pk})
    return job


def ledger_verify_run(*, job_id: int) -> None:
    """Read the chain and end the job with what was found."""
    try:
        job_progress(job_id=job_id, done=0)
    except JobCancelled:
        job_finish(job_id=job_id, summary="Cancelled.", status=Job.Status.CANCELLED)
        return
    report = ledger_verify()
    if report.ok:
        job_finish(job_id=job_id, summary=_sentence(report))
    else:
        job_finish(
            job_id=job_id, status=Job.Status.FAILED,
            summary=f"Broken at entry {report.broken_seq}: {report.reason}. The {report.entries:,} before it fit.",
        )


def _sentence(report: LedgerReport) -> str:
    heads = f", and {report.heads:,} signed heads" if report.heads else ""
    return f"All {report.entries:,} entries fit{heads}."
