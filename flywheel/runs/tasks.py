"""What workers and beat run of runs; each may run twice."""

from __future__ import annotations

from celery import shared_task
from django.urls import reverse

from flywheel.runs import services
from flywheel.runs.models import SuggestionBatch
from flywheel.runs.services.withdrawal import WALK_STEPS
from flywheel.work.claims import Claim
from flywheel.work.models import Job
from flywheel.work.registry import job_kind


@job_kind("runs.dispatch")
def dispatch(claim: Claim) -> None:
    """Nudge the trainers about a queued job; a batch's prompts are written first."""
    payload = claim.payload
    if payload["kind"] == "suggestions":
        services.suggestions_prepare(batch=SuggestionBatch.objects.get(pk=payload["job"]))
    services.run_dispatch(kind=payload["kind"], job_id=payload["job"])


def _withdrawal_page(job: Job) -> str:
    return reverse("provenance:withdrawal", args=[job.object_ref.removeprefix("withdrawal:")])


@job_kind("withdrawal.walk", title="Withdrawal", link=_withdrawal_page, cancellable=False)
def withdrawal_walk(claim: Claim) -> str:
    """Reach what was derived from a person's data, from the top down."""
    services.withdrawal_walk(
        withdrawal_uid=claim.payload["withdrawal_uid"], heartbeat=lambda done: claim.progress(done, WALK_STEPS)
    )
    return "Everything that was derived is reached; the receipt lists it."


@job_kind("withdrawal.late")
def withdrawal_late(claim: Claim) -> None:
    """Take records that arrived after their subject's withdrawal out of annotation and training."""
    services.late_records_withdraw(record_ids=claim.payload["records"], heartbeat=claim.extend)


@shared_task(name="runs.sweep", ignore_result=True)
def sweep() -> None:
    """Take up what a dead worker or a lost message left."""
    services.runs_sweep()


@shared_task(name="runs.budget", ignore_result=True)
def budget() -> None:
    """Give a new month the budget of the one before."""
    services.budget_carry()


@shared_task(name="runs.suggest", ignore_result=True)
def suggest() -> None:
    """Give tasks that came since the champion's suggestions."""
    services.suggestions_continue()
