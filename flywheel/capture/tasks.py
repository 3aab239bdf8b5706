"""Work that follows deliveries: captures into examples, and the sweep for those that a crash left waiting."""

from __future__ import annotations

from celery import shared_task
from django.urls import reverse

from flywheel.capture import services
from flywheel.capture.services.importing import IMPORT_KIND, lost_import_end
from flywheel.work.claims import Claim
from flywheel.work.models import Job
from flywheel.work.registry import job_kind


@job_kind("capture.process")
def process(claim: Claim) -> None:
    """One batch, and a request for the next while captures wait, so that other work gets its turn in between."""
    services.process_captures()
    services.captures_sweep()


def _source_page(job: Job) -> str:
    name = job.payload.get("source")
    return reverse("capture:source", args=[name]) if name else ""


@job_kind(IMPORT_KIND, title="Import", link=_source_page)
def import_lost(claim: Claim) -> str:
    """End the job of an import whose process died; imports run in the command that reads the file."""
    return lost_import_end(claim)


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
