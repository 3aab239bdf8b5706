"""Celery's and the outbox's entries into runs; each may run twice."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from flywheel.runs import services
from flywheel.runs.models import SuggestionBatch
from flywheel.work.outbox import outbox_extend, outbox_handler


@outbox_handler("runs.dispatch")
def dispatch(payload: dict[str, Any]) -> None:
    """Nudge the trainers about a queued job; a batch's prompts are written first."""
    if payload["kind"] == "suggestions":
        services.suggestions_prepare(batch=SuggestionBatch.objects.get(pk=payload["job"]))
    services.run_dispatch(kind=payload["kind"], job_id=payload["job"])


@outbox_handler("withdrawal.walk")
def withdrawal_walk(payload: dict[str, Any]) -> None:
    """Reach what was derived from a person's data, from the top down."""
    uid = payload["withdrawal_uid"]
    services.withdrawal_walk(
        withdrawal_uid=uid, alive=lambda: outbox_extend(topic="withdrawal.walk", withdrawal_uid=uid)
    )


@outbox_handler("withdrawal.late")
def withdrawal_late(payload: dict[str, Any]) -> None:
    """Take what came after somebody had said no out of annotation and training."""
    records = payload["records"]
    services.late_records_withdraw(
        record_ids=records, alive=lambda: outbox_extend(topic="withdrawal.late", records=records)
    )


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
