"""The one job that counts for pages."""

from __future__ import annotations

from celery import shared_task

from flywheel.stats.registry import stats_refresh


@shared_task(name="stats.refresh", ignore_result=True)
def refresh() -> None:
    """Run the counters that are due. Twice at once writes the same numbers once."""
    stats_refresh()
