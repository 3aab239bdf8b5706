"""Rows: their canonical bytes are RFC 8785's, and what is not a row is refused by name."""

from __future__ import annotations

from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tests.training import builders
from training.contract import RowError, row_from_json

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(texts=st.lists(TEXT, min_size=4, max_size=4), extra=st.dictionaries(TEXT, TEXT, max_size=4))
def test_canonical_bytes_are_those_of_rfc_8785(texts: list[str], extra: dict[str, str]) -> None:
    value = builders.row(1, id="x" + texts[0], label=texts[1], extra=extra)
    value["messages"] = [builders.message("user", texts[2]), builders.message("assistant", texts[3], 1)]
    row = row_from_json(value)
    assert row.canonical() == rfc8785.dumps(row.to_json())


def test_keys_sort_by_utf16_code_units() -> None:
    row = row_from_json(builders.row(1, extra={"\ufb33": "a", "\U0001f600": "b", "z": "c"}))
    assert row.canonical() == rfc8785.dumps(row.to_json())
    assert row.canonical().index("\U0001f600".encode()) < row.canonical().index("\ufb33".encode())


def test_a_lone_surrogate_is_refused_with_the_rows_id() -> None:
    with pytest.raises(RowError, match=r"'ex-00001' holds text that is not Unicode"):
        row_from_json(builders.row(1, label="\ud800")).canonical()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"id": ""}, "id ''"), ({"messages": []}, "no messages"), ({"split": "dev"}, "split 'dev'"),
        ({"group": ""}, "group ''"), ({"label": 3}, "label 3"), ({"extra": {"a": 1}}, "extra"),
        ({"messages": [builders.message("agent", "x")]}, "role 'agent'"),
        ({"messages": [builders.message("user", "x", 2)]}, "weight 2"),
        ({"messages": [{"role": "user", "content": None, "weight": 0}]}, "content of type NoneType"),
    ],
)
def test_what_is_not_a_row_is_named(change: dict[str, Any], named: str) -> None:
    with pytest.raises(RowError, match=named):
        row_from_json(builders.row(1, **change))
