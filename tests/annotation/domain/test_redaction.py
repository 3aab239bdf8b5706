"""An answer and what was found in it: replaced, kept, cut for showing; the answer itself is never changed."""

from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st

from annotation.domain.redaction import redacted, spans_of, stretches, written

RESULT = [
    {"from_name": "reply", "to_name": "c", "type": "textarea", "value": {"text": ["Hi Ann, mail a@b.de", "Bye Ann"]}},
    {"from_name": "quality", "to_name": "c", "type": "choices", "value": {"choices": ["Ann"]}},
    {"from_name": "note", "to_name": "c", "type": "textarea", "value": {"text": ["Ann again"]}},
]


def span(control, part, start, end, placeholder, **extra):
    return {"control": control, "part": part, "start": start, "end": end, "type": "PERSON", "score": 1.0,
            "placeholder": placeholder, **extra}


SPANS = [span("reply", 0, 3, 6, "<PERSON_1>"), span("reply", 0, 13, 19, "<EMAIL_1>"),
         span("reply", 1, 4, 7, "<PERSON_1>"), span("note", 0, 0, 3, "<PERSON_1>")]


def test_only_free_text_is_searched():
    assert [(text.control, text.part, text.text) for text in written(RESULT)] == [
        ("reply", 0, "Hi Ann, mail a@b.de"), ("reply", 1, "Bye Ann"), ("note", 0, "Ann again")]
    assert written([{"type": "textarea", "value": {}}, {}]) == []


def test_what_was_found_is_replaced_in_its_own_control_and_part():
    before = copy.deepcopy(RESULT)
    after = redacted(RESULT, SPANS)
    assert [text.text for text in written(after)] == [
        "Hi <PERSON_1>, mail <EMAIL_1>", "Bye <PERSON_1>", "<PERSON_1> again"]
    assert after[1] == before[1]
    assert before == RESULT


def test_what_is_kept_stays():
    kept = [SPANS[0] | {"kept": True}, SPANS[1] | {"kept": False}]
    assert written(redacted(RESULT, kept))[0].text == "Hi Ann, mail <EMAIL_1>"
    assert redacted(RESULT, [kept[0]]) is RESULT


def test_a_span_of_a_part_that_is_not_there_changes_nothing():
    assert redacted(RESULT, [span("reply", 7, 0, 3, "<X_1>"), span("gone", 0, 0, 3, "<X_1>")]) == RESULT


def test_findings_by_number_become_spans_by_control_and_part():
    found = [{"message": 2, "start": 0, "end": 3, "type": "PERSON", "score": 0.9, "placeholder": "<PERSON_1>"}]
    assert spans_of(written(RESULT), found) == [span("note", 0, 0, 3, "<PERSON_1>") | {"score": 0.9}]


def test_emoji_and_combining_characters_count_as_python_counts_them():
    text = "👨‍👩‍👧 Zoe\u0301 wrote"
    start = text.index("Zoe")
    result = [{"from_name": "reply", "type": "textarea", "value": {"text": [text]}}]
    after = redacted(result, [span("reply", 0, start, start + 4, "<PERSON_1>")])
    assert after[0]["value"]["text"] == ["👨‍👩‍👧 <PERSON_1> wrote"]


@given(st.text(max_size=40), st.lists(st.integers(0, 40), max_size=6))
def test_stretches_put_together_are_the_text(text, cuts):
    edges = sorted({min(cut, len(text)) for cut in cuts})
    spans = [span("r", 0, a, b, "<P_1>") for a, b in zip(edges[::2], edges[1::2], strict=False)]
    pieces = stretches(text, spans)
    assert "".join(piece.text for piece in pieces) == text
    assert [piece.span for piece in pieces if piece.span] == spans
