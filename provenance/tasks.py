"""Background work of provenance. Each job calls one service."""

from __future__ import annotations

from celery import shared_task

from flywheel.stats.registry import stats_refresh
from flywheel.work.claims import Claim
from flywheel.work.registry import job_kind
from provenance import services
from provenance.stats import GATE


@job_kind("provenance.judge")
def judge(claim: Claim) -> None:
    """Judge records whose facts changed."""
    services.due_judge()


@job_kind("provenance.gauges")
def gauges(claim: Claim) -> None:
    """Count verdicts and reasons now, because pages show them after a judgement."""
    stats_refresh(names={GATE}, due_only=False)


@job_kind("consent.refusal_due")
def refusal_due(claim: Claim) -> None:
    """Follow a refusal whose event time has come."""
    services.refusal_due(**claim.payload)


@shared_task(name="provenance.expire", ignore_result=True)
def expire() -> None:
    """Judge records again whose verdicts have expired, and records whose job was lost."""
    # Beat runs this every minute. A job that was lost with its worker leaves records due, which the second call judges.
    services.verdicts_expire()
    services.due_judge()
