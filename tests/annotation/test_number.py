"""The Number control: its tag, its limits, and the way from a posted form to a stored result and back."""

from __future__ import annotations

import json

import pytest

from annotation.controls import ResultError
from annotation.domain.labels import LabelConfig, TaskData, result_build, values_of
from annotation.domain.results import result_check
from annotation.label_config import label_config_parse
from flywheel.core.errors import ValidationFailed

DATA = TaskData(messages=[{"role": "customer", "text": "Hi"}])


def config(attributes: str = 'min="0" max="10" step="0.5"') -> LabelConfig:
    return label_config_parse(
        f'<View><Text name="t" value="$text"/><Number name="minutes" toName="t" {attributes}/></View>'
    )


def checked(value: object, attributes: str = 'min="0" max="10" step="0.5"') -> object:
    found = result_check(result_build(config(attributes), {"minutes": value}), config(attributes), DATA)
    return found[0]["value"]["number"] if found else None


@pytest.mark.parametrize(("value", "stored"), [(0, 0), (10, 10), (2.5, 2.5), (3.0, 3), (None, None), ("", None)])
def test_a_number_within_its_limits_is_stored(value: object, stored: object) -> None:
    assert checked(value) == stored


@pytest.mark.parametrize(("value", "says"), [
    (-0.5, "at least 0 and at most 10"), (10.5, "at least 0 and at most 10"), (0.3, "a multiple of 0.5 from 0"),
    ("many", "'many'; it must be a number"), (True, "it must be a number"), (float("nan"), "it must be a number"),
    (float("inf"), "it must be a number"), (10**400, "it must be a number"), ([1], "it must be a number"),
])
def test_any_other_value_is_refused_with_the_limit(value: object, says: str) -> None:
    with pytest.raises(ResultError, match=r"^Minutes is") as caught:
        checked(value)
    assert says in caught.value.message
    assert caught.value.control == "minutes"


def test_steps_are_met_within_rounding() -> None:
    assert checked(0.3, 'step="0.1"') == 0.3
    assert checked(1.3, 'min="1" step="0.1"') == 1.3


@pytest.mark.parametrize(("attributes", "says"), [
    ('min="a lot"', 'min="a lot" of <Number name="minutes"> must be a number'), ('max="nan"', "must be a number"),
    ('min="3" max="2"', "min 3 above max 2"), ('step="0"', "must be above 0"),
])
def test_a_faulty_tag_is_refused(attributes: str, says: str) -> None:
    with pytest.raises(ValidationFailed) as caught:
        config(attributes)
    assert says in caught.value.message


@pytest.mark.parametrize(("posted", "value"), [(["2.5"], 2.5), (["3"], 3), ([" "], None), ([], None), (["x"], "x")])
def test_a_posted_field_becomes_a_plain_value(posted: list[str], value: object) -> None:
    assert config().controls[0].from_post(posted) == value


def test_it_is_stored_with_its_configuration_and_read_back() -> None:
    asked = config('min="1" max="5" defaultValue="2" required="true"')
    assert LabelConfig.from_json(json.loads(json.dumps(asked.to_json()))) == asked
    result = result_check(result_build(asked, {"minutes": 4}), asked, DATA)
    assert result[0]["type"] == "number"
    assert values_of(result, asked) == {"minutes": 4}
    with pytest.raises(ResultError, match="required"):
        result_check([], asked, DATA)


def test_agreement_is_measured_on_the_range() -> None:
    assert config().controls[0].distance(2, 7) == pytest.approx(0.5)
    assert config("").controls[0].distance(2, 4) == pytest.approx(0.5)
    assert config("").controls[0].distance(0, 0) == 0
