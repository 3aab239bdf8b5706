"""Verification and signing of the ledger."""

from __future__ import annotations

from celery import shared_task
from django.urls import reverse

from flywheel.audit.checkpoints import head_store
from flywheel.audit.verification import ledger_verify_run
from flywheel.work.claims import Claim
from flywheel.work.registry import job_kind


@job_kind("ledger.verify", title="Ledger verification", link=lambda job: reverse("audit:ledger"))
def verify(claim: Claim) -> str:
    """Verify the ledger for the person who asked."""
    return ledger_verify_run(claim)


@shared_task(name="audit.checkpoint", ignore_result=True)
def checkpoint() -> None:
    """Keep a signed head of the ledger outside the database, once a day."""
    head_store()
