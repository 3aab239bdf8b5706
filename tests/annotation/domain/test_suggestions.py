"""Measuring what became of a suggestion; routing's words; quality's reasons."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.domain.quality import Fault, quality_fault
from annotation.domain.routing import reviewer_offset, why_of
from annotation.domain.suggestions import DIFF_LIMIT, edit_distance, suggestion_use, word_diff
from annotation.models import Task
from annotation.quality_text import REASONS, reasons_of


@pytest.mark.parametrize(("suggestion", "answer", "use"), [
    ("Send it back.", " Send it back.\n", "accepted"),
    ("Send it back.", "Please send it back.", "edited"),
    ("Send it back.", "We are very sorry to hear about the trouble with your new kettle, dear customer!", "replaced"),
    ("", "Something", "replaced"),
])
def test_an_answer_is_accepted_edited_or_written_anew(suggestion, answer, use):
    assert suggestion_use(edit_distance(suggestion, answer)) == use


def test_the_distance_is_levenshteins_over_the_longer_text():
    assert edit_distance("kitten", "sitting") == pytest.approx(3 / 7)
    assert (edit_distance("", ""), edit_distance("a", "b")) == (0, 1)


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_difference_holds_both_texts(before, after):
    pieces = word_diff(before, after)
    assert "".join(p.text for p in pieces if p.kind != "ins") == before
    assert "".join(p.text for p in pieces if p.kind != "del") == after


@pytest.mark.parametrize(("before", "after"), [
    # Where every word occurs thousands of times, looking for the longest blocks alike would take hours.
    ("x " * 9_000, "x y " * 5_000),
    ("x " * 5_000, "x " * 4_999),
])
def test_long_texts_that_repeat_themselves_have_a_difference_too(before, after):
    pieces = word_diff(before, after)
    assert "".join(p.text for p in pieces if p.kind != "ins") == before
    assert "".join(p.text for p in pieces if p.kind != "del") == after


def test_texts_too_long_to_compare_are_replaced_between_what_they_begin_and_end_with_alike():
    old, new = "a b " * 6_000, "b c " * 6_000
    assert len(old.split()) ** 2 * 4 > DIFF_LIMIT
    assert [(p.kind, p.text) for p in word_diff(f"start {old}end", f"start {new}end")] == [
        ("same", "start "), ("del", old.rstrip()), ("ins", new.rstrip()), ("same", " end"),
    ]


def test_a_placeholder_is_one_word():
    assert [(p.kind, p.text) for p in word_diff("to <EMAIL_1>", "to <EMAIL_2>")] == [
        ("same", "to "), ("del", "<EMAIL_1>"), ("ins", "<EMAIL_2>"),
    ]


def test_why_a_task_was_given_is_a_sentence():
    assert why_of(handed_back=False, overlap=1, taken_by_others=0).startswith("oldest free task of the project")
    assert "1 of 3" in why_of(handed_back=False, overlap=3, taken_by_others=1)
    assert "handed back" in why_of(handed_back=True, overlap=1, taken_by_others=0)


def test_reviewers_start_at_different_places():
    assert [reviewer_offset([4, 7, 9], who, 10) for who in (4, 7, 9)] == [0, 1, 2]
    assert reviewer_offset([4, 7], 7, 1) == 0
    assert reviewer_offset([4], 99, 5) == 0


@pytest.mark.parametrize(("state", "reply", "rules"), [
    (None, None, ["no_task"]), ("open", None, ["not_settled"]), ("in_review", None, ["not_settled"]),
    ("withdrawn", None, ["task_withdrawn"]), ("settled", "  ", ["empty_reply"]), ("settled", "Hello", []),
    ("settled", None, []),
])
def test_only_a_settled_answer_with_a_reply_is_good(state, reply, rules):
    assert [reason.rule for reason in reasons_of(quality_fault(state=state, reply=reply))] == rules


def test_every_fault_has_its_sentences():
    assert set(REASONS) == set(Fault)
    assert quality_fault(state="settled", reply="Hello", searched=False) is Fault.NOT_SEARCHED
    assert {state for state in Task.State.values if quality_fault(state=state, reply=None)} == {
        "open", "in_review", "flagged", "closed", "withdrawn"
    }
