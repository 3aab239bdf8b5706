"""Background work of the ledger: verification and checkpoints."""

from __future__ import annotations

from celery import shared_task
from django.urls import reverse

from flywheel.audit.checkpoints import checkpoint_store
from flywheel.audit.verification import ledger_verify_run
from flywheel.work.claims import Claim
from flywheel.work.registry import job_kind


@job_kind("ledger.verify", title="Ledger verification", link=lambda job: reverse("audit:ledger"))
def verify(claim: Claim) -> str:
    """Run a requested verification."""
    return ledger_verify_run(claim)


@shared_task(name="audit.checkpoint", ignore_result=True)
def checkpoint() -> None:
    """Write the daily checkpoint to file storage."""
    checkpoint_store()
