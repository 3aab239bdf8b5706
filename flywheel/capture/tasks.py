"""Work that follows deliveries: captures into examples, and the sweep for those that a crash left waiting."""

from __future__ import annotations

from celery import shared_task

from flywheel.capture import services
from flywheel.work.claims import Claim
from flywheel.work.registry import job_kind


@job_kind("capture.process")
def process(claim: Claim) -> None:
    """One batch, and a request for the next while captures wait, so that other work gets its turn in between."""
    services.process_captures()
    services.captures_sweep()


@job_kind(services.PULL_KIND)
def pull(claim: Claim) -> None:
    """Pull one source."""
    services.source_pull(claim)


@shared_task(name="capture.pull", ignore_result=True)
def pull_due() -> None:
    """Ask for a pull of each source whose turn it is."""
    services.pulls_due()


@shared_task(name="capture.sweep", ignore_result=True)
def sweep() -> None:
    """Ask for processing when captures wait."""
    services.captures_sweep()
