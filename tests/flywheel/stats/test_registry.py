"""Counters: declared once, run when they are due, by one worker at a time."""

from __future__ import annotations

from collections import Counter as Tally
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from flywheel.stats import registry
from flywheel.stats.models import CounterRun, Gauge
from flywheel.stats.registry import Counter, counters, stats_refresh

pytestmark = pytest.mark.django_db


def only(monkeypatch: pytest.MonkeyPatch, *found: Counter) -> None:
    monkeypatch.setattr(registry, "counters", lambda: list(found))


def test_a_counter_runs_when_its_interval_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, Counter("a", 60, lambda now: {"all": {"n": 1}}))
    assert stats_refresh() == ["a"]
    assert stats_refresh() == []
    CounterRun.objects.update(started_at=timezone.now() - timedelta(seconds=59))
    assert stats_refresh() == ["a"]


def test_a_counter_that_fails_keeps_no_other_from_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(now: datetime) -> dict[str, dict[str, float]]:
        raise RuntimeError("no such table")

    only(monkeypatch, Counter("a", 60, fail), Counter("b", 60, lambda now: {"all": {"n": 2}}))
    assert stats_refresh() == ["b"]
    assert Gauge.objects.get(name="n").value == 2
    with pytest.raises(RuntimeError, match="no such table"):
        stats_refresh(due_only=False)


def test_no_gauge_is_counted_twice() -> None:
    """Two counters may share a scope, and must not write the same name into it."""
    seen: Tally[tuple[str, str]] = Tally()
    for one in counters():
        seen.update({(scope, name) for scope, values in one.count(timezone.now()).items() for name in values})
    assert [key for key, count in seen.items() if count > 1] == []


def test_a_name_is_declared_in_one_module_only() -> None:
    assert len({one.name for one in counters()}) == len(counters()) >= 7

    def elsewhere(now: datetime) -> dict[str, dict[str, float]]:
        return {}

    with pytest.raises(RuntimeError, match=r"is declared in annotation\.stats and in"):
        registry.counter("annotation.projects")(elsewhere)
