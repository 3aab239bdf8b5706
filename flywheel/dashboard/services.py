"""Counting for pages that join several apps."""

from __future__ import annotations

from django.utils import timezone

from annotation import stats as annotation
from flywheel.capture import selectors as capture
from flywheel.dashboard import stats as counts
from flywheel.datasets import services as datasets
from flywheel.stats.gauges import gauges_set
from provenance import services as provenance


def everything_count() -> None:
    """Count at once, where no worker runs, what a worker counts by the clock for every page."""
    for source, found in capture.capture_counts_by_source().items():
        gauges_set(found, scope=f"source:{source}")
    annotation.all_refresh()
    provenance.clearance_count()
    datasets.settled_cleared_count()
    gauges_refresh()


def gauges_refresh() -> int:
    """Count what home pages show and no app below counts, and store it as today's gauges. Returns how many values."""
    now = timezone.now()
    scopes = {
        "all": counts.wheel_counts(now) | counts.house_counts(),
        **counts.project_counts(now), **counts.person_counts(now),
    }
    for scope, values in scopes.items():
        gauges_set(values, scope=scope)
    return sum(map(len, scopes.values()))
