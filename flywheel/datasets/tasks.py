"""Work of datasets that follows a commit or the clock. The work itself is in services."""

from __future__ import annotations

from typing import Any

from celery import shared_task

from flywheel.datasets import services
from flywheel.work.outbox import outbox_handler


@outbox_handler("snapshot.build")
def build(payload: dict[str, Any]) -> None:
    """Build and freeze one snapshot."""
    services.snapshot_build(snapshot_id=payload["snapshot_id"])


@shared_task(name="datasets.count", ignore_result=True)
def count() -> None:
    """Count what is settled and cleared."""
    services.settled_cleared_count()
