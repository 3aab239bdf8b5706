"""Numbers counted by jobs and read by pages. What is counted belongs to the apps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from django.utils import timezone

from flywheel.stats.models import Gauge


def gauges_set(values: Mapping[str, float], *, scope: str = "all") -> None:
    """Store today's values; a second count on the same day replaces the first."""
    now = timezone.now()
    Gauge.objects.bulk_create(
        [Gauge(scope=scope, name=n, day=now.date(), value=v, counted_at=now) for n, v in sorted(values.items())],
        update_conflicts=True,
        unique_fields=["scope", "name", "day"],
        update_fields=["value", "counted_at"],
    )


def gauges_get(*, prefix: str = "", scope: str = "all", on: date | None = None) -> dict[str, Gauge]:
    """The newest value of each gauge on or before day `on` (today when None), by name.

    Looks back one week at most, so the number of rows read does not grow.
    """
    day = on or timezone.now().date()
    rows = Gauge.objects.filter(
        scope=scope, name__startswith=prefix, day__lte=day, day__gt=day - timedelta(days=8)
    ).order_by("day")
    return {row.name: row for row in rows}
