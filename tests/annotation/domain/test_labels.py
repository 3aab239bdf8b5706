"""Label configurations as values: results built, read back, judged."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.controls import CONTROLS, Option, ResultError
from annotation.controls.choices import Choices
from annotation.controls.labels import Labels
from annotation.controls.rating import Rating
from annotation.controls.textarea import MAX_TEXT, TextArea
from annotation.domain.labels import (
    Document,
    LabelConfig,
    TaskData,
    keys_of,
    label_of,
    reply_of,
    result_build,
    values_of,
)
from annotation.domain.results import MAX_ITEMS, result_check

KEYS = ["from_name", "to_name", "type", "value", "text", "choices", "rating", "start", "end", "labels"]
CONFIG = LabelConfig(
    documents=(Document("c", "Paragraphs", "conversation"), Document("t", "Text", "subject")),
    controls=(
        TextArea(name="reply", to_name="c", required=True),
        Choices(name="quality", to_name="c", required=True, options=(Option("good", "Good"), Option("bad", "Bad"))),
        Choices(name="topics", to_name="c", multiple=True, options=(Option("x", "X"), Option("y", "Y"))),
        Rating(name="stars", to_name="c", max_rating=5),
        Labels(name="facts", to_name="t", options=(Option("P", "P"), Option("Q", "Q"))),
    ),
)
DATA = TaskData(messages=[{"role": "customer", "text": "Hi"}, {"role": "agent", "text": "Hello"}], target=1,
                subject="Leaking kettle 🫖 now")
VALUES = {"reply": "Hello", "quality": ["good"], "topics": ["x", "y"], "stars": 4,
          "facts": [{"start": 8, "end": 14, "labels": ["P"]}]}


def check(values: dict, **kwargs):
    return result_check(result_build(CONFIG, values), CONFIG, DATA, **kwargs)


def test_a_result_is_built_judged_and_read_back():
    result = check(VALUES)
    assert [item["type"] for item in result] == ["textarea", "choices", "choices", "rating", "labels"]
    assert result[0]["value"] == {"text": ["Hello"]}
    assert result[4]["value"] == {"start": 8, "end": 14, "text": "kettle", "labels": ["P"]}
    assert values_of(result, CONFIG) == VALUES | {"facts": [result[4]["value"]]}
    assert (reply_of(result, CONFIG), label_of(result, CONFIG)) == ("Hello", "good")


def test_a_judged_result_is_judged_the_same_again():
    result = check(VALUES)
    assert result_check(result, CONFIG, DATA) == result


def test_offsets_count_characters_and_not_their_halves():
    result = check(VALUES | {"facts": [{"start": 15, "end": 16, "labels": ["Q"]}]})
    assert result[-1]["value"]["text"] == "🫖"


@pytest.mark.parametrize(("change", "message", "control"), [
    ({"reply": "  \n "}, "required and empty", "reply"),
    ({"quality": []}, "required and empty", "quality"),
    ({"quality": ["good", "bad"]}, "takes one choice", "quality"),
    ({"quality": ["great"]}, "has no 'great'; there are: bad, good", "quality"),
    ({"topics": ["z"]}, "has no 'z'", "topics"),
    ({"stars": 6}, "from 1 to 5", "stars"),
    ({"stars": 2.5}, "from 1 to 5", "stars"),
    ({"stars": True}, "from 1 to 5", "stars"),
    ({"stars": "4"}, "from 1 to 5", "stars"),
    ({"facts": [{"start": 3, "end": 3, "labels": ["P"]}]}, "not a stretch", "facts"),
    ({"facts": [{"start": 0, "end": 999, "labels": ["P"]}]}, "not a stretch", "facts"),
    ({"facts": [{"start": -1, "end": 2, "labels": ["P"]}]}, "not a stretch", "facts"),
    ({"facts": [{"start": 0, "end": 2, "labels": []}]}, "has no label", "facts"),
    ({"facts": [{"start": 0, "end": 2, "labels": ["Z"]}]}, "has no 'Z'", "facts"),
    ({"reply": "x" * (MAX_TEXT + 1)}, "at most 20,000", "reply"),
])
def test_an_answer_with_a_fault_is_refused_by_control(change, message, control):
    with pytest.raises(ResultError, match=message) as caught:
        check(VALUES | change)
    assert caught.value.control == control


@pytest.mark.parametrize("result", [
    {}, "x", None, [1], [{"from_name": "nope", "value": {}}], [{"from_name": "reply", "value": "x"}],
    [{"from_name": "reply", "to_name": "t", "type": "textarea", "value": {"text": ["x"]}}],
    [{"from_name": "reply", "to_name": "c", "type": "choices", "value": {"text": ["x"]}}],
    [{"from_name": "reply", "value": {"text": [1]}}], [{"from_name": "quality", "value": {"choices": {"a": 1}}}],
    [{"from_name": "quality", "value": {"choices": [["good"]]}}],
    [{"from_name": "reply", "value": {"text": ["a"]}}] * 2,
    [{"from_name": "facts", "value": {"start": 0, "end": 1, "labels": ["P"]}}] * (MAX_ITEMS + 1),
])
def test_a_result_of_the_wrong_shape_is_refused(result):
    with pytest.raises(ResultError):
        result_check(result, CONFIG, DATA)


def test_a_draft_may_lack_what_an_answer_may_not():
    assert check({"stars": 3}, partial=True)[0]["value"] == {"rating": 3}


def test_an_unknown_control_cannot_be_filled():
    with pytest.raises(KeyError, match="nope"):
        result_build(CONFIG, {"nope": 1})


def test_a_configuration_survives_json():
    assert LabelConfig.from_json(CONFIG.to_json()) == CONFIG


def test_without_choices_or_text_there_is_no_label_and_no_reply():
    empty = LabelConfig(documents=CONFIG.documents, controls=())
    assert (reply_of([], empty), label_of([], empty)) == ("", "")


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(KEYS),
        inner | st.sampled_from(["reply", "quality", "stars", "facts"]), max_size=6,
    ), max_leaves=12,
))
def test_no_input_breaks_the_judge(result):
    with contextlib.suppress(ResultError):
        result_check(result, CONFIG, DATA)


def test_keys_are_given_once_each_and_never_the_workbenchs_own():
    def choices(name, *hotkeys):
        options = tuple(Option(value=str(n), label=str(n), hotkey=key) for n, key in enumerate(hotkeys))
        return Choices(name=name, to_name="t", options=options)

    config = LabelConfig(controls=(choices("a", "2", "", "q", "Q"), choices("b", "g", "ctrl+a", "", "?", "", "", "", "")))
    keys = keys_of(config)
    assert [keys.get(("a", str(n))) for n in range(4)] == ["2", "1", "q", "3"]
    assert [keys.get(("b", str(n)), "") for n in range(8)] == ["4", "5", "6", "7", "8", "9", "", ""]


def test_a_blank_is_no_key_since_it_presses_buttons():
    config = LabelConfig(controls=(Choices(name="a", to_name="t", options=(Option("x", "X", hotkey=" "), Option("y", "Y", hotkey=" q "))),))
    assert keys_of(config) == {("a", "x"): "1", ("a", "y"): "q"}


def test_a_configuration_survives_being_stored():
    stored = json.loads(json.dumps(CONFIG.to_json()))
    assert LabelConfig.from_json(stored) == CONFIG


@pytest.mark.parametrize(("name", "one", "other", "distance"), [
    ("reply", "the kettle leaks now", "the kettle leaks now", 0.0),
    ("reply", "the kettle leaks now", "a pot drips here", 1.0),
    ("reply", "the kettle leaks now", "the kettle leaks here", 0.25),
    ("quality", ["good"], ["bad"], 1.0),
    ("topics", ["x", "y"], ["x"], 0.5),
    ("topics", [], [], 0.0),
    ("stars", 1, 5, 1.0),
    ("stars", 4, 3, 0.25),
    ("facts", [{"start": 0, "end": 4, "labels": ["P"]}], [{"start": 2, "end": 6, "labels": ["P"]}], 0.5),
    ("facts", [{"start": 0, "end": 4, "labels": ["P"]}], [{"start": 0, "end": 4, "labels": ["Q"]}], 1.0),
])
def test_the_distance_of_two_answers_is_between_0_and_1(name, one, other, distance):
    control = CONFIG.control(name)
    assert control.distance(one, other) == pytest.approx(distance)
    assert control.distance(other, one) == pytest.approx(distance)
    assert control.distance(one, one) == 0


def test_every_control_has_its_template_and_its_script():
    root = Path(__file__).parents[3]
    for control in CONTROLS.values():
        assert (root / "templates" / "annotation" / "controls" / f"{control.type}.html").is_file()
        assert (root / "flywheel" / "static" / "js" / "controls" / f"{control.type}.js").is_file()
