"""What workers and beat run of runs; each may run twice."""

from __future__ import annotations

from celery import shared_task
from django.urls import reverse

from flywheel.core.actors import Actor
from flywheel.runs import services
from flywheel.runs.models import REMOTE_MODELS, SuggestionBatch, TrainingRun
from flywheel.runs.services.withdrawal import WALK_STEPS
from flywheel.work.claims import Claim
from flywheel.work.models import Job
from flywheel.work.registry import job_kind, remote_job_kind


def _run_page(job: Job) -> str:
    return reverse("runs:run", args=[job.uid])


def _model_page(job: Job) -> str:
    return reverse("runs:model", args=[SuggestionBatch.objects.select_related("model").get(pk=job.pk).model.name])


def _cancel(job: Job, by: Actor) -> None:
    services.remote_job_cancel(job=REMOTE_MODELS[job.kind].objects.get(pk=job.pk), by=by)


@remote_job_kind("run", title="Training run", link=_run_page, cancel=_cancel, cancel_permission="run.cancel")
def run_send(job: Job) -> None:
    """Send a queued run to the trainers."""
    services.job_send(job=TrainingRun.objects.get(pk=job.pk))


@remote_job_kind("suggestions", title="Suggestions", link=_model_page, cancel=_cancel, cancel_permission="run.cancel")
def batch_send(job: Job) -> None:
    """Send a queued batch of suggestions to the trainers, its prompts written."""
    services.job_send(job=SuggestionBatch.objects.get(pk=job.pk))


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
    services.remote_jobs_sweep()


@shared_task(name="runs.budget", ignore_result=True)
def budget() -> None:
    """Give a new month the budget of the one before."""
    services.budget_carry()


@shared_task(name="runs.suggest", ignore_result=True)
def suggest() -> None:
    """Give tasks that came since the champion's suggestions."""
    services.suggestions_continue()
