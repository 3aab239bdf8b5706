"""Counters: each app declares what it counts in its `stats` module, and one job runs those that are due.

A page never counts rows. A counter may be killed at any point or run twice: it only writes today's values again.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.apps import apps
from django.db.models import Q
from django.utils import timezone
from django.utils.module_loading import module_has_submodule

from flywheel.stats.models import CounterRun, Gauge

log = logging.getLogger(__name__)

Counted = Mapping[str, Mapping[str, float]]
"""Values by gauge name, by scope."""

Count = Callable[[datetime], Counted]


@dataclass(frozen=True, slots=True)
class Counter:
    """One function that counts, and how many seconds must pass before it counts again."""

    name: str
    every: int
    count: Count


_counters: dict[str, Counter] = {}


def counter(name: str, *, every: int = 60) -> Callable[[Count], Count]:
    """Declare a counter. Its function gets the time and returns values by scope and gauge name.

    Every gauge must have one counter only: two apps may share a scope, but must not count the same name in it.
    """

    def declare(count: Count) -> Count:
        known = _counters.get(name)
        # The same module may declare it twice, because importing a module again runs this decorator again.
        if known is not None and known.count.__module__ != count.__module__:
            raise RuntimeError(f"counter {name!r} is declared in {known.count.__module__} and in {count.__module__}")
        _counters[name] = Counter(name, every, count)
        return count

    return declare


def counters() -> list[Counter]:
    """All counters, in the order of their names."""
    for config in apps.get_app_configs():
        if config.module is not None and module_has_submodule(config.module, "stats"):
            # Imported only when counting, because no page needs the counters and they import the models of every app.
            importlib.import_module(f"{config.name}.stats")
    return [_counters[name] for name in sorted(_counters)]


def stats_refresh(*, names: set[str] | None = None, due_only: bool = True) -> list[str]:
    """Run the counters that are due, or all of them, and store today's values. Returns the names of those that ran.

    One that fails is logged and does not keep the others from counting.
    """
    ran = []
    for one in counters():
        if names is not None and one.name not in names:
            continue
        now = timezone.now()
        if due_only and not _is_ours(one, now):
            continue
        try:
            found = one.count(now)
        except Exception:
            log.exception("counter %s failed; its gauges keep their last values", one.name)
            # A person or a test asked for the numbers and must see the failure; a beat entry must go on with the
            # others.
            if not due_only:
                raise
            continue
        for scope, values in found.items():
            gauges_set(values, scope=scope)
        ran.append(one.name)
    return ran


def _is_ours(one: Counter, now: datetime) -> bool:
    """Whether the counter is due and no other worker took it first."""
    CounterRun.objects.bulk_create([CounterRun(name=one.name)], ignore_conflicts=True)
    # Beat may be a little early, and a counter that was skipped for a second would wait another whole interval.
    due = Q(started_at=None) | Q(started_at__lte=now - timedelta(seconds=one.every - 2))
    # One UPDATE with the condition in it: of two workers only one changes the row, so no lock is held while it counts.
    return bool(CounterRun.objects.filter(due, name=one.name).update(started_at=now))


def gauges_set(values: Mapping[str, float], *, scope: str = "all") -> None:
    """Store today's values; a second count on the same day replaces the first."""
    now = timezone.now()
    Gauge.objects.bulk_create(
        [Gauge(scope=scope, name=n, day=now.date(), value=v, counted_at=now) for n, v in sorted(values.items())],
        # An upsert, because two workers may store the first value of a day at the same moment.
        update_conflicts=True,
        unique_fields=["scope", "name", "day"],
        update_fields=["value", "counted_at"],
    )
