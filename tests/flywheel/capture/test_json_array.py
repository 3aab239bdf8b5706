"""JSON lists taken apart: the same records as a parser finds, wherever the blocks are cut, and never more than fits."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.capture.connectors.files.json_array import list_records
from flywheel.capture.domain.payloads import BadPayload

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('ab"\\[]{},\n\u00e9\U0001f600'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('k"\\]{', max_size=4), inner, max_size=3),
    max_leaves=12,
)


def records(content: bytes, *, block: int = 7, limit: int = 1000) -> list[bytes | BadPayload]:
    return [record for _, record in list_records(cut(content, block), limit=limit)]


def cut(content: bytes, block: int) -> Iterator[bytes]:
    return (content[i : i + block] for i in range(0, len(content), block))


@given(st.lists(VALUES, max_size=6), st.integers(1, 40), st.booleans(), st.booleans())
def test_records_are_those_that_a_parser_finds(values: list[object], block: int, ascii: bool, indented: bool) -> None:
    content = json.dumps(values, ensure_ascii=ascii, indent=1 if indented else None).encode()
    assert [json.loads(r) for r in records(content, block=block, limit=10**6)] == values


@given(st.binary(max_size=60), st.integers(1, 9))
def test_any_bytes_end_in_records_and_reasons(junk: bytes, block: int) -> None:
    for record in records(b"[" + junk, block=block):
        assert isinstance(record, bytes | BadPayload)


@pytest.mark.parametrize(
    ("content", "count", "reason"),
    [
        (b'[{"a":1},{"b"', 1, "breaks off after record 1"),
        (b'[{"a":1}', 0, "breaks off after record 0"),
        (b'[{"a":"never', 0, "breaks off"),
        (b'[{"a":1}] [2]', 1, "something follows the list of 1 records"),
        (b'[{"a":1}]           x', 1, "something follows"),
        (b"[" * 50, 0, "breaks off"),
    ],
)
def test_a_list_that_is_not_whole_says_so_last(content: bytes, count: int, reason: str) -> None:
    *found, last = records(content)
    assert len(found) == count
    assert isinstance(last, BadPayload)
    assert reason in last.reason


def test_a_record_that_is_too_long_is_passed_over() -> None:
    found = records(b'[1, "' + b"x" * 5000 + b'", 3]')
    assert [type(record) for record in found] == [bytes, BadPayload, bytes]
    assert isinstance(found[1], BadPayload)
    assert "5003 bytes" in found[1].reason


@pytest.mark.parametrize("block", [1, 7, 1000])
def test_a_record_comes_with_the_line_that_it_begins_on(block: int) -> None:
    content = b'\n[\n{"a":\n"x\\ny"},\n\n  5, [1,\n2],\n' + b'"' + b"z\n" * 300 + b'"\n,\n{}\n, {"b"'
    lines = [line for line, _ in list_records(cut(content, block), limit=200)]
    assert lines == [3, 6, 6, 8, 310, 311]


@pytest.mark.sweep
@pytest.mark.parametrize("piece", [b"[", b'{"a":', b'"' + b"x" * 99, b"\\", b"[[],", b'"\\'])
def test_a_long_file_without_an_end_takes_no_memory(piece: bytes) -> None:
    blocks = (piece * (16_384 // len(piece)) for _ in range(6))
    tracemalloc.start()
    for _ in list_records(chain([b"["], blocks), limit=20_000):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000

