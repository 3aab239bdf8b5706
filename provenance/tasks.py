"""Work of provenance that follows a commit or the clock. The work itself is in services."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from flywheel.work.outbox import outbox_handler
from provenance import services


@outbox_handler("provenance.judge")
def judge(payload: dict[str, Any]) -> None:
    """Judge records whose facts changed."""
    services.due_judge()


@outbox_handler("provenance.gauges")
def gauges(payload: dict[str, Any]) -> None:
    """Count verdicts and reasons."""
    services.clearance_count()


@outbox_handler("consent.refusal_due")
def refusal_due(payload: dict[str, Any]) -> None:
    """Follow a refusal whose time has come."""
    services.refusal_due(**payload)


@shared_task(name="provenance.expire", ignore_result=True)
def expire() -> None:
    """Have records judged again whose verdict time has run out for, and those whose message was lost."""
    services.verdicts_expire()
    services.due_judge()


@shared_task(name="provenance.count", ignore_result=True)
def count() -> None:
    """Count verdicts and reasons."""
    services.clearance_count()
