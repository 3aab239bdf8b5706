"""Reading gauges: the newest value, the one of a week ago, and the last fortnight as a series."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone

from flywheel.stats.models import Gauge

DAYS = 14
WEEK = 7


@dataclass(slots=True)
class Series:
    """One gauge: `days` holds the last value of each of the last 14 days, oldest first, None where none was counted."""

    days: list[float | None] = field(default_factory=lambda: [None] * DAYS)
    now: float | None = None
    before: float | None = None
    counted_at: datetime | None = None


@dataclass(slots=True)
class Gauges:
    """The gauges of one scope by name."""

    series: dict[str, Series] = field(default_factory=dict)

    # Templates read the next two, in which a dot of a name is an underscore, because a dot is theirs.
    @property
    def now(self) -> dict[str, int]:
        """The newest values as whole numbers."""
        return {name.replace(".", "_"): round(one.now) for name, one in self.series.items() if one.now is not None}

    @property
    def spark(self) -> dict[str, list[float | None]]:
        """The last 14 days of each gauge."""
        return {name.replace(".", "_"): one.days for name, one in self.series.items()}

    @property
    def as_of(self) -> datetime | None:
        """When the newest was counted; None when none ever was."""
        return max((one.counted_at for one in self.series.values() if one.counted_at), default=None)

    def value(self, name: str) -> float | None:
        """The newest value; None when it was never counted."""
        return self.series[name].now if name in self.series else None

    def get(self, name: str) -> int | None:
        """The newest value as a whole number; None when it was never counted."""
        value = self.value(name)
        return None if value is None else round(value)

    def before(self, name: str) -> float | None:
        """The value of a week ago; None when there was none then."""
        return self.series[name].before if name in self.series else None

    def change(self, name: str) -> int | None:
        """Change against a week ago; None when either was not counted."""
        now, then = self.value(name), self.before(name)
        return None if now is None or then is None else round(now) - round(then)

    def days(self, name: str) -> list[float | None]:
        """The last 14 days, oldest first."""
        return self.series[name].days if name in self.series else [None] * DAYS


def gauges_read(scopes: Iterable[str], *, prefix: str = "") -> dict[str, Gauges]:
    """The gauges of these scopes in one query, which reads at most a fortnight of them.

    A gauge whose name ends in "today" counts one day: from earlier days it is 0 now.
    """
    wanted = list(scopes)
    found = {scope: Gauges() for scope in wanted}
    today = timezone.now().date()
    rows = Gauge.objects.filter(
        scope__in=wanted, name__startswith=prefix, day__gt=today - timedelta(days=DAYS + 1)
    ).order_by("day")
    for row in rows:
        one = found[row.scope].series.setdefault(row.name, Series())
        age = (today - row.day).days
        if 0 <= age < DAYS:
            one.days[DAYS - 1 - age] = row.value
        # Rows come oldest first, so the last assignment is the newest value.
        one.now = 0 if row.name.endswith("today") and age else row.value
        # The newest value that is at least a week old, because a counter may have missed the exact day.
        if age >= WEEK:
            one.before = row.value
        one.counted_at = row.counted_at
    return found


def gauges_of(scope: str) -> Gauges:
    """The gauges of one scope."""
    return gauges_read([scope])[scope]
