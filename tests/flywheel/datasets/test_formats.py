"""The forms a row takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flywheel.datasets import formats
from training.contract.rows import Message, Row
from training.snapshot import file_rows

TURNS: list[dict[str, Any]] = [
    {"role": "customer", "text": "Hello"}, {"role": "agent", "text": "Hi, how can I help?"},
    {"role": "note", "text": "vip"}, {"role": "customer", "text": "  "}, {"role": "customer", "text": "It broke."},
    {"role": "agent", "text": "Too bad."},
]


def build(**fields: Any) -> tuple[Message, ...]:
    wanted: dict[str, Any] = {"context_length": 5, "reply": "Sorry!", "system_prompt": "", "include_notes": False}
    return formats.messages_build(TURNS, **(wanted | fields))


def test_context_has_no_weight_and_the_reply_has_all():
    assert [(m.role, m.content, m.weight) for m in build()] == [
        ("user", "Hello", 0), ("assistant", "Hi, how can I help?", 0), ("user", "It broke.", 0),
        ("assistant", "Sorry!", 1),
    ]


def test_the_agents_own_reply_is_never_in_a_row():
    assert all("Too bad" not in m.content for m in build(include_notes=True, system_prompt="x"))


def test_notes_and_system_prompt_stand_where_they_are_wanted():
    assert [m.role for m in build(include_notes=True, system_prompt="Be kind.")] == [
        "system", "user", "assistant", "user", "user", "assistant"
    ]


def test_nothing_from_the_customer_is_no_row():
    assert build(context_length=0) == ()
    assert formats.messages_build([TURNS[1]], context_length=1, reply="x", system_prompt="", include_notes=True) == ()


def test_parquet_gives_back_the_rows_and_the_same_bytes(tmp_path: Path):
    rows = [
        Row(id=f"r{n:05d}", messages=(Message("user", f"{n} ünï\u2028"), Message("assistant", "ok", 1)), split="train",
            group="g", label="Good", license="MIT", source="s", provenance="p", extra={"b": "2", "a": "é"})
        for n in range(formats.ROW_GROUP + 5)
    ]
    for name in ("a.parquet", "b.parquet"):
        with formats.ParquetRows(tmp_path / name) as file:
            for row in rows:
                file.append(row)
    assert list(file_rows(tmp_path / "a.parquet")) == rows
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert sum(1 for _ in formats.parquet_messages(tmp_path / "a.parquet")) == len(rows)


def test_an_empty_parquet_file_is_one_too(tmp_path: Path):
    with formats.ParquetRows(tmp_path / "a.parquet"):
        pass
    assert list(file_rows(tmp_path / "a.parquet")) == []
