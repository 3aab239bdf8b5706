"""Celery's entry into jobs: run one, and nudge again what was lost."""

from __future__ import annotations

from celery import shared_task

from flywheel.work.jobs import job_run, jobs_sweep


@shared_task(name="work.run", acks_late=True, ignore_result=True)
def run(job_id: int) -> None:
    """Run one job; twice is the same as once."""
    job_run(job_id)


@shared_task(name="work.sweep", ignore_result=True)
def sweep() -> None:
    """Nudge again what a crash or an absent broker lost."""
    jobs_sweep()
