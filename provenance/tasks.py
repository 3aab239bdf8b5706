"""Work of provenance that follows a commit or the clock. The work itself is in services."""

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
    """Follow a refusal whose time has come."""
    services.refusal_due(**claim.payload)


@shared_task(name="provenance.expire", ignore_result=True)
def expire() -> None:
    """Have records judged again whose verdict time has run out for, and those whose message was lost."""
    services.verdicts_expire()
    services.due_judge()
