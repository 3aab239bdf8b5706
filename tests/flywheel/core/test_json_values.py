"""JSON values from outside."""

from __future__ import annotations

from typing import Any

import pytest

from flywheel.core.json_values import finite, plain_json


@pytest.mark.parametrize(("value", "number"), [
    (2, 2.0), ("1.5", 1.5), (None, None), ("x", None), ([], None), (float("nan"), None), ("inf", None), (10**400, None),
])
def test_only_finite_numbers_pass(value: Any, number: float | None) -> None:
    assert finite(value) == number


def test_texts_and_keys_deep_inside_become_plain() -> None:
    assert plain_json({"k\x00": ["\x00v\r\n", 1, None, {"a": "\ud800"}]}) == {"k": ["v\n", 1, None, {"a": "?"}]}
