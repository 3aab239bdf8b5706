"""Pure rules of the home pages: the stations of the wheel, their pace, and where the wheel is stuck.

`flywheel.dashboard.stats` counts into the gauges that are named here; this module turns their values into states and
sentences, and knows where each station is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from annotation.domain.suggestions import Acceptance

WEEK = 7
SLOW_DAYS = 14
"""A station whose backlog takes longer than two weeks at last week's pace is slow."""


@dataclass(frozen=True, slots=True)
class StationKind:
    """One station: what passing it is called, what waits before it, and what a person can do about it."""

    key: str
    name: str
    waits: str
    fix: str


STATIONS = (
    # The keys are parts of gauge names: renaming one would cut its series and its comparison with last week.
    StationKind("captured", "Captured", "captures wait to be processed", "Check that the worker is running."),
    StationKind("annotated", "Annotated", "tasks wait for an annotator", "Add annotators, or lower the overlap."),
    StationKind("settled", "Settled", "tasks wait for review", "Ask reviewers to clear the queue."),
    StationKind("cleared", "Cleared", "settled examples wait for a verdict", "Check that the worker is running."),
    StationKind("snapshot", "In a snapshot", "cleared examples are in no snapshot", "Freeze a snapshot."),
    StationKind("trained", "Trained on", "snapshot examples were not trained on", "Request a run."),
    StationKind("promoted", "Promoted", "examples taught a model that is not promoted", "Look at the candidates."),
    StationKind("suggested", "Suggested", "open tasks have no suggestion of the champion", "Publish suggestions."),
)
"""In the order of the wheel. Every count is in examples, so that stations can be compared."""

MEASURES = ("total", "waiting", "day", "week", "last_week")
"""Passed so far; waits before the station; passed in the last day, the last 7 days, and the 7 days before those."""


def gauge_name(station: str, measure: str) -> str:
    """The name of the gauge that holds one measure of one station."""
    return f"wheel.{station}.{measure}"


GAUGES = (
    *(gauge_name(kind.key, measure) for kind in STATIONS for measure in MEASURES),
    "wheel.refused", "wheel.untasked", "wheel.runs_waiting", "wheel.candidates",
)
"""All gauges that the wheel page reads."""


@dataclass(frozen=True, slots=True)
class Station:
    """A station with its numbers. `backlog_days`: what its backlog takes at last week's pace; infinite without one."""

    kind: StationKind
    total: int
    waiting: int
    day: int
    week: int
    last_week: int
    detail: str = ""
    days: list[float | None] = field(default_factory=list)
    """How many had passed on each of the last 14 days."""

    @property
    def per_day(self) -> float:
        return self.week / WEEK

    @property
    def last_per_day(self) -> float:
        return self.last_week / WEEK

    @property
    def backlog_days(self) -> float:
        if self.waiting <= 0:
            return 0.0
        # Infinity and not None, so that comparisons and the sort by backlog need no special case.
        return self.waiting / self.per_day if self.week else math.inf

    @property
    def state(self) -> str:
        """`stuck`: something waits and nothing moved for a week; `slow`: over two weeks of backlog; else `moving`,
        or `idle` when nothing waits and nothing moved."""
        # Stuck before slow: without any pace the backlog is infinite and would otherwise only count as slow.
        if self.waiting > 0 and not self.week:
            return "stuck"
        if self.backlog_days > SLOW_DAYS:
            return "slow"
        return "moving" if self.week else "idle"

    @property
    def reason(self) -> str:
        """Why the station is as it is, in one sentence; "" when nothing waits."""
        if self.waiting <= 0:
            return self.detail
        count = f"{self.waiting:,} {self.kind.waits}"
        if self.state == "stuck":
            pace = "and none moved on in the last seven days." if self.total else "and none has moved on yet."
        else:
            pace = f"and {rate_text(self.per_day)} moved on last week, so it takes {days_text(self.backlog_days)}."
        return " ".join(part for part in (f"{count}, {pace}", self.detail) if part)


def stations_of(gauges: Mapping[str, float]) -> list[Station]:
    """The stations from the gauges' values; a missing gauge counts as nothing."""
    return [_station(kind, gauges) for kind in STATIONS]


def _station(kind: StationKind, gauges: Mapping[str, float]) -> Station:
    counts = {measure: int(gauges.get(gauge_name(kind.key, measure), 0)) for measure in MEASURES}
    return Station(
        kind, total=counts["total"], waiting=counts["waiting"], day=counts["day"], week=counts["week"],
        last_week=counts["last_week"], detail=_detail(kind.key, gauges),
    )


def _detail(key: str, gauges: Mapping[str, float]) -> str:
    def count(name: str) -> int:
        return int(gauges.get(name, 0))

    if key == "annotated" and (untasked := count("wheel.untasked")):
        return f"{plural(untasked, 'example')} of no project {'is' if untasked == 1 else 'are'} not asked about."
    if key == "cleared" and (refused := count("wheel.refused")):
        return f"The gate refuses {refused:,} of the settled examples."
    if key == "trained" and (waiting := count("wheel.runs_waiting")):
        return f"{plural(waiting, 'run')} {'waits' if waiting == 1 else 'wait'} for approval or a trainer."
    if key == "promoted" and (candidates := count("wheel.candidates")):
        return f"{plural(candidates, 'candidate')} {'waits' if candidates == 1 else 'wait'} for a decision."
    return ""


def bottleneck(stations: list[Station]) -> Station | None:
    """The one station to look at first: a stuck one before a slow one, the largest backlog first. None if all move."""
    held = [s for s in stations if s.state in {"stuck", "slow"}]
    # A stuck station comes first even with a small backlog, because it does not clear by waiting.
    return max(held, key=lambda s: (s.state == "stuck", s.waiting), default=None)


@dataclass(frozen=True, slots=True)
class Generation:
    """What annotators did with the suggestions of one model generation, or of the agents (all else None)."""

    acceptance: Acceptance
    generation: int | None = None
    champion: bool = False
    model_id: int | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """One piece of a bar in a chart, in the chart's own units."""

    x: float
    width: float
    series: int


def segments(acceptance: Acceptance, width: float) -> list[Segment]:
    """The stacked bar of one origin: accepted, edited, replaced, from left to right over `width`."""
    bars: list[Segment] = []
    x = 0.0
    for series, count in enumerate((acceptance.accepted, acceptance.edited, acceptance.replaced), start=1):
        length = round(width * (acceptance.share(count) or 0), 2)
        if length:
            bars.append(Segment(round(x, 2), length, series))
            x += length
    return bars


@dataclass(frozen=True, slots=True)
class Place:
    """Where a station is drawn: the centre of its mark, and the first of its three lines of words."""

    x: float
    y: float
    words_x: float
    words_y: float
    anchor: str


PLACES = (
    Place(320, 86, 320, 24, "middle"),
    Place(431.72, 132.28, 457.18, 94.82, "start"),
    Place(478, 244, 514, 232, "start"),
    Place(431.72, 355.72, 457.18, 369.18, "start"),
    Place(320, 402, 320, 440, "middle"),
    Place(208.28, 355.72, 182.82, 369.18, "end"),
    Place(162, 244, 126, 232, "end"),
    Place(208.28, 132.28, 182.82, 94.82, "end"),
)
"""Of each station, in units of the picture in templates/dashboard/wheel.html: clockwise from the top, on a ring of
radius 158 around (320, 244). Words are outside the ring: above it at the top, below it at the bottom, else beside it.
"""


def plural(count: int, noun: str) -> str:
    """1 task, 2 tasks, 1,200 tasks."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def rate_text(per_day: float) -> str:
    """A pace in words that fits a table: "12 a day", "0.4 a day"."""
    if per_day == 0:
        return "0 a day"
    return f"{per_day:,.0f} a day" if per_day >= 10 else f"{per_day:.1f} a day"


def days_text(days: float) -> str:
    """How long a backlog takes, in words."""
    if math.isinf(days):
        return "no end in sight"
    if days < 1:
        return "less than a day"
    # Beyond two years the number of days says nothing more than the number of years.
    if days > 730:
        return f"{days / 365:,.0f} years"
    # Rounded up, because a backlog of 1.2 days is not gone after one.
    return plural(math.ceil(days), "day")


def delta_text(now: float, before: float | None, *, unit: str = "") -> str:
    """What changed since last week: a shape, a number and words. "" when there is nothing to compare with."""
    if before is None:
        return ""
    change = now - before
    suffix = f" {unit}" if unit else ""
    # Less than half of the last digit that is shown, so "▲ 0.0" never appears.
    if abs(change) < 0.05:
        return f"= as last week{suffix}"
    shape = "▲" if change > 0 else "▼"
    size = f"{abs(change):,.0f}" if float(abs(change)).is_integer() or abs(change) >= 10 else f"{abs(change):.1f}"
    return f"{shape} {size}{suffix} on last week"


def count_now(counted: int, *, there_is_one: bool) -> int:
    """A count that a job made up to a minute ago, set right where "none" is at stake: nobody is sent away from work."""
    return max(counted, 1) if there_is_one else 0
