"""Verification and signing of the ledger."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from flywheel.audit.checkpoints import head_store
from flywheel.audit.verification import ledger_verify_run
from flywheel.work.outbox import outbox_handler


@outbox_handler("ledger.verify")
def verify(payload: dict[str, Any]) -> None:
    """Verify the ledger for the person who asked."""
    ledger_verify_run(job_id=payload["job_id"])


@shared_task(name="audit.checkpoint", ignore_result=True)
def checkpoint() -> None:
    """Keep a signed head of the ledger outside the database, once a day."""
    head_store()
