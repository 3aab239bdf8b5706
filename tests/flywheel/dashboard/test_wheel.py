"""The wheel's rules: pace, state, sentence, and which station is looked at first."""

from __future__ import annotations

import math

import pytest

from annotation.domain.suggestions import Acceptance
from flywheel.dashboard import wheel
from flywheel.dashboard.wheel import Station, gauge_name, stations_of

KIND = wheel.STATIONS[1]


def station(*, total: int = 10, waiting: int = 0, week: int = 0, kind: wheel.StationKind = KIND) -> Station:
    return Station(kind, total, waiting, day=0, week=week, last_week=0)


@pytest.mark.parametrize(
    ("waiting", "week", "state"),
    [(0, 0, "idle"), (0, 7, "moving"), (5, 0, "stuck"), (14, 7, "moving"), (15, 7, "slow"), (1, 1, "moving")],
)
def test_a_station_is_stuck_when_something_waits_and_nothing_moved(waiting: int, week: int, state: str) -> None:
    assert station(waiting=waiting, week=week).state == state


def test_the_reason_names_count_pace_and_time() -> None:
    reason = station(waiting=1400, week=70).reason
    assert reason == "1,400 tasks wait for an annotator, and 10 a day moved on last week, so it takes 140 days."


def test_a_stuck_station_says_that_none_moved() -> None:
    assert station(waiting=3).reason == "3 tasks wait for an annotator, and none moved on in the last seven days."


def test_a_station_that_never_moved_says_so() -> None:
    assert station(total=0, waiting=3).reason == "3 tasks wait for an annotator, and none has moved on yet."


def test_a_stuck_station_comes_before_a_slow_one_with_a_larger_backlog() -> None:
    stuck, slow = station(waiting=2), station(waiting=9000, week=7)
    assert wheel.bottleneck([slow, stuck]) is stuck
    assert wheel.bottleneck([slow, station(week=7)]) is slow


def test_a_wheel_that_turns_has_no_bottleneck() -> None:
    assert wheel.bottleneck([station(week=7), station()]) is None


def test_missing_gauges_count_as_nothing() -> None:
    stations = stations_of({})
    assert [s.total for s in stations] == [0] * 8
    assert {s.state for s in stations} == {"idle"}


def test_stations_read_their_own_gauges() -> None:
    values = {gauge_name("settled", "total"): 90.0, gauge_name("settled", "waiting"): 22.0, "wheel.refused": 4.0}
    by_key = {s.kind.key: s for s in stations_of(values)}
    assert (by_key["settled"].total, by_key["settled"].waiting) == (90, 22)
    assert by_key["cleared"].reason == "The gate refuses 4 of the settled examples."


def test_details_agree_in_number() -> None:
    one = {s.kind.key: s.detail for s in stations_of({"wheel.untasked": 1, "wheel.runs_waiting": 1})}
    two = {s.kind.key: s.detail for s in stations_of({"wheel.candidates": 2})}
    assert one["annotated"] == "1 example of no project is not asked about."
    assert one["trained"] == "1 run waits for approval or a trainer."
    assert two["promoted"] == "2 candidates wait for a decision."


def test_every_gauge_of_the_page_is_named_once() -> None:
    assert len(wheel.GAUGES) == len(set(wheel.GAUGES)) == 8 * 5 + 4


def test_a_bar_is_as_wide_as_its_counts() -> None:
    bar = wheel.segments(Acceptance("m", accepted=1, edited=2, replaced=1, distance=0.3), 240)
    assert [(piece.x, piece.width, piece.series) for piece in bar] == [(0, 60, 1), (60, 120, 2), (180, 60, 3)]


def test_an_unanswered_model_has_no_bar() -> None:
    unanswered = Acceptance("m", accepted=0, edited=0, replaced=0, distance=None)
    assert wheel.segments(unanswered, 240) == []
    assert unanswered.rate is None


def test_the_ring_starts_at_the_top_and_runs_clockwise() -> None:
    assert len(wheel.PLACES) == len(wheel.STATIONS)
    for index, place in enumerate(wheel.PLACES):
        angle = math.radians(360 / len(wheel.STATIONS) * index - 90)
        assert (place.x, place.y) == pytest.approx(
            (320 + 158 * math.cos(angle), 244 + 158 * math.sin(angle)), abs=0.01
        )


@pytest.mark.parametrize(
    ("days", "text"),
    [(math.inf, "no end in sight"), (0.2, "less than a day"), (1, "1 day"), (2.1, "3 days"), (1095, "3 years")],
)
def test_durations_in_words(days: float, text: str) -> None:
    assert wheel.days_text(days) == text


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [(5, None, ""), (5, 5, "= as last week"), (17, 5, "▲ 12 on last week"), (1.5, 3, "▼ 1.5 on last week")],
)
def test_changes_have_a_shape_and_a_word(now: float, before: float | None, text: str) -> None:
    assert wheel.delta_text(now, before) == text


@pytest.mark.parametrize(
    ("counted", "there_is_one", "shown"), [(0, True, 1), (7, True, 7), (3, False, 0), (0, False, 0)]
)
def test_a_late_count_never_says_none_when_there_is_one(counted: int, there_is_one: bool, shown: int) -> None:
    assert wheel.count_now(counted, there_is_one=there_is_one) == shown
