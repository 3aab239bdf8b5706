"""Celery's entry into the counting of the home pages; what is counted is decided in counts and domain."""

from __future__ import annotations

from celery import shared_task

from flywheel.dashboard import services


@shared_task(name="dashboard.refresh_gauges", ignore_result=True)
def refresh_gauges() -> None:
    """Count anew. Running twice at once only writes the same numbers twice."""
    services.gauges_refresh()
