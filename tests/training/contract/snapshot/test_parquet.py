"""Rows in Parquet and back."""

from __future__ import annotations

from pathlib import Path

from training.contract.rows import Message, Row
from training.contract.snapshot.parquet import ROW_GROUP, ParquetRows, file_rows, parquet_messages


def test_rows_come_back_and_the_same_rows_give_the_same_bytes(tmp_path: Path):
    rows = [
        Row(id=f"r{n:05d}", messages=(Message("user", f"{n} ünï\u2028"), Message("assistant", "ok", 1)), split="train",
            group="g", label="Good", license="MIT", source="s", provenance="p", extra={"b": "2", "a": "é"})
        for n in range(ROW_GROUP + 5)
    ]
    for name in ("a.parquet", "b.parquet"):
        with ParquetRows(tmp_path / name) as file:
            for row in rows:
                file.append(row)
    assert list(file_rows(tmp_path / "a.parquet")) == rows
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    assert sum(1 for _ in parquet_messages(tmp_path / "a.parquet")) == len(rows)


def test_a_file_without_rows_is_valid(tmp_path: Path):
    with ParquetRows(tmp_path / "a.parquet"):
        pass
    assert list(file_rows(tmp_path / "a.parquet")) == []
