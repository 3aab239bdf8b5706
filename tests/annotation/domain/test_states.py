"""The state machine of a task keeps its promises along every path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.domain import states
from annotation.domain.states import Slots, WrongState

FRESH = Slots("open", 2, 0, 0)
STEPS = [
    states.take, states.give_back, states.submit, states.take_back, states.settle, states.withdraw, states.flag,
    states.close, lambda slots: states.resume(slots, settled=False),
]


def walk(slots, *steps):
    for step in steps:
        slots = step(slots)
    return slots


def test_the_last_answer_sends_the_task_to_review():
    half = walk(FRESH, states.take, states.submit)
    assert (half.state, half.available) == ("open", True)
    full = walk(half, states.take, states.submit)
    assert (full.state, full.available) == ("in_review", False)
    assert states.settle(full).state == "settled"


def test_a_rejected_answer_opens_the_task_and_keeps_the_authors_place():
    back = walk(FRESH, states.take, states.take, states.submit, states.submit, states.take_back)
    assert (back.state, back.taken, back.submitted, back.available) == ("open", 2, 1, False)


@pytest.mark.parametrize(("slots", "step"), [
    (Slots("open", 1, 1, 0), states.take), (Slots("in_review", 1, 1, 1), states.take),
    (Slots("open", 1, 0, 0), states.give_back), (Slots("open", 2, 1, 1), states.give_back),
    (Slots("open", 1, 0, 0), states.submit), (Slots("settled", 1, 1, 1), states.submit),
    (Slots("withdrawn", 1, 1, 0), states.submit), (Slots("settled", 1, 1, 1), states.take_back),
    (Slots("open", 1, 1, 0), states.take_back), (Slots("open", 1, 1, 0), states.settle),
    (Slots("withdrawn", 1, 0, 0), states.take), (Slots("settled", 1, 1, 1), states.settle),
    (Slots("flagged", 2, 1, 1), states.take), (Slots("flagged", 1, 1, 1), states.settle),
    (Slots("flagged", 1, 0, 0), states.submit), (Slots("closed", 1, 1, 1), states.take_back),
    (Slots("closed", 1, 0, 0), states.flag), (Slots("withdrawn", 1, 0, 0), states.flag),
    (Slots("open", 1, 0, 0), states.close), (Slots("open", 1, 0, 0), lambda s: states.resume(s, settled=False)),
])
def test_a_step_that_the_state_forbids_is_refused(slots, step):
    with pytest.raises(WrongState):
        step(slots)


@pytest.mark.parametrize(("before", "settled"), [
    (Slots("open", 2, 1, 1), False), (Slots("in_review", 2, 2, 2), False), (Slots("settled", 2, 2, 2), True),
])
def test_a_flagged_or_closed_task_goes_on_where_it_was(before, settled):
    flagged = states.flag(before)
    assert (flagged.state, flagged.available) == ("flagged", False)
    assert states.resume(flagged, settled=settled) == before
    assert states.resume(states.close(flagged), settled=settled) == before


def test_work_that_was_under_way_when_a_task_was_flagged_may_be_finished():
    flagged = walk(FRESH, states.take, states.take, states.submit, states.flag, states.submit)
    assert (flagged.state, flagged.submitted) == ("flagged", 2)
    assert states.take_back(flagged).state == "flagged"
    assert states.resume(flagged, settled=False).state == "in_review"


@given(st.integers(1, 4), st.lists(st.sampled_from(STEPS), max_size=40))
def test_no_path_breaks_the_promise_of_overlap(overlap, steps):
    slots = Slots("open", overlap, 0, 0)
    for step in steps:
        try:
            slots = step(slots)
        except WrongState:
            continue
        assert 0 <= slots.submitted <= slots.taken <= overlap
        assert slots.available == (slots.state == "open" and slots.taken < overlap)
        if slots.state == "in_review":
            assert slots.submitted == overlap
