"""Verifying a snapshot: an intact one passes, and every kind of tampering is found and named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.training import builders
from training.contract import SnapshotError
from training.contract.snapshot.reader import snapshot_check, snapshot_rows, snapshot_verify


@pytest.fixture
def whole(tmp_path: Path) -> tuple[Path, str]:
    return builders.snapshot(tmp_path / "whole")


def manifest_edit(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_whole_snapshot_verifies(whole: tuple[Path, str]) -> None:
    report = snapshot_verify(*whole)
    assert (report.problems, report.rows, report.root) == ([], 34, whole[1])
    assert report.splits == {"train": 24, "validation": 4, "test": 6}


def test_rows_come_back_as_they_were_written(whole: tuple[Path, str]) -> None:
    assert snapshot_rows(whole[0], "test") == [builders.as_row(r) for r in builders.rows() if r["split"] == "test"]


def test_an_empty_snapshot_has_the_empty_root(tmp_path: Path) -> None:
    report = snapshot_verify(*builders.snapshot(tmp_path / "empty", []))
    assert not report.problems
    assert report.root.startswith("e3b0c442")


def test_one_changed_byte_is_found(whole: tuple[Path, str]) -> None:
    path = whole[0] / "train.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    assert any("train.parquet: sha256" in p for p in snapshot_verify(*whole).problems)


def test_a_rewritten_row_is_found_even_when_the_digests_were_renewed(whole: tuple[Path, str]) -> None:
    folder, root = whole
    records = builders.rows()
    records[3]["messages"][-1]["content"] = "Something else."
    forged, forged_root = builders.snapshot(folder.parent / "forged", records, merkle_root=root)
    assert forged_root != root
    assert any("merkle_root" in p for p in snapshot_verify(forged).problems)


def test_another_snapshots_root_is_refused(whole: tuple[Path, str]) -> None:
    assert any("wrong snapshot" in p for p in snapshot_verify(whole[0], "0" * 64).problems)
    with pytest.raises(SnapshotError, match="does not verify: the root asked for"):
        snapshot_check(whole[0], "0" * 64)


def test_a_missing_row_is_found(whole: tuple[Path, str]) -> None:
    manifest_edit(whole[0], rows=35)
    assert snapshot_verify(*whole).problems == ["rows: the manifest says 35, the files give 34"]


def test_rows_out_of_order_are_found(tmp_path: Path) -> None:
    records = builders.rows()
    records[0], records[1] = records[1], records[0]
    assert any("ascending order" in p for p in snapshot_verify(*builders.snapshot(tmp_path / "s", records)).problems)


def test_an_id_that_occurs_twice_is_found(tmp_path: Path) -> None:
    records = [builders.row(1), builders.row(1), builders.row(2, "test", id="ex-00001")]
    problems = snapshot_verify(*builders.snapshot(tmp_path / "s", records)).problems
    assert sum("occurs twice" in p for p in problems) == 2


def test_a_group_in_two_splits_is_found(tmp_path: Path) -> None:
    records = [builders.row(1, group="customer"), builders.row(2, "test", group="customer")]
    problems = snapshot_verify(*builders.snapshot(tmp_path / "s", records)).problems
    assert problems == ["group 'customer' is in train and test (row 'ex-00002'); a group has one split"]


def test_a_row_of_another_split_is_found(whole: tuple[Path, str]) -> None:
    shutil.copy(whole[0] / "test.parquet", whole[0] / "train.parquet")
    assert any("says split 'test' and is in 'train'" in p for p in snapshot_verify(*whole).problems)


def test_a_missing_file_is_found(whole: tuple[Path, str]) -> None:
    (whole[0] / "test.parquet").unlink()
    assert any("test.parquet" in p for p in snapshot_verify(*whole).problems)


def test_a_file_that_is_not_parquet_is_found(whole: tuple[Path, str]) -> None:
    (whole[0] / "test.parquet").write_text("no")
    assert any("cannot be read as Parquet" in p for p in snapshot_verify(*whole).problems)


def test_a_column_of_another_type_is_found(whole: tuple[Path, str]) -> None:
    pq.write_table(pa.table({name: pa.array([1]) for name in builders.SCHEMA.names}), whole[0] / "test.parquet")
    assert any("must be text" in p for p in snapshot_verify(*whole).problems)


def table_write(folder: Path, **columns: Any) -> None:
    table = pq.read_table(folder / "test.parquet")
    for name, column in columns.items():
        table = table.set_column(table.schema.get_field_index(name), name, column)
    pq.write_table(table, folder / "test.parquet")


def test_hostile_columns_are_named(whole: tuple[Path, str]) -> None:
    folder = whole[0]
    table_write(folder, extra=pa.array(["[" * 100_000] * 6))
    assert any("give a JSON object as text" in p for p in snapshot_verify(*whole).problems)
    broken = pa.Array.from_buffers(pa.string(), 6, pa.array([b"\xff\xfe"] * 6, pa.binary()).buffers())
    table_write(folder, extra=pa.array(["{}"] * 6), group=broken)
    assert any("text that is not UTF-8" in p for p in snapshot_verify(*whole).problems)
    table = pq.read_table(whole[0] / "validation.parquet")
    pq.write_table(table.append_column("id", table["id"]), folder / "test.parquet")
    assert any("column 'id' twice" in p for p in snapshot_verify(*whole).problems)


@pytest.mark.parametrize("name", ["test.parquet", "manifest.json"])
def test_a_pipe_in_place_of_a_file_is_not_read(whole: tuple[Path, str], name: str) -> None:
    (whole[0] / name).unlink()
    os.mkfifo(whole[0] / name)
    assert any("is not a file" in p for p in snapshot_verify(*whole).problems)


def test_a_file_that_the_manifest_does_not_name_is_found(whole: tuple[Path, str]) -> None:
    (whole[0] / ".hidden").write_text("x")
    assert snapshot_verify(*whole).problems == [".hidden is not in the manifest; take it out of the folder"]


def test_a_symbolic_link_is_found(whole: tuple[Path, str], tmp_path: Path) -> None:
    (whole[0] / "test.parquet").rename(tmp_path / "elsewhere")
    (whole[0] / "test.parquet").symlink_to(tmp_path / "elsewhere")
    assert any("is a symbolic link" in p for p in snapshot_verify(*whole).problems)


@pytest.mark.parametrize("name", ["../secret.parquet", "/etc/passwd", "..", ""])
def test_a_manifest_cannot_point_outside_its_folder(whole: tuple[Path, str], name: str) -> None:
    manifest_edit(whole[0], splits={"train": {"file": name, "rows": 0, "sha256": ""}})
    assert "give a file of this folder" in snapshot_verify(*whole).problems[0]


@pytest.mark.parametrize(("text", "named"), [("{", "cannot be read"), ("[]", "schema"), ('{"schema": "x"}', "schema")])
def test_a_broken_manifest_is_named(whole: tuple[Path, str], text: str, named: str) -> None:
    (whole[0] / "manifest.json").write_text(text)
    assert named in snapshot_verify(*whole).problems[0]


def test_a_flood_of_problems_is_bounded(tmp_path: Path) -> None:
    records = [builders.row(1) for _ in range(500)]
    assert len(snapshot_verify(*builders.snapshot(tmp_path / "s", records)).problems) < 30


@pytest.mark.slow
def test_verifying_loads_neither_torch_nor_django(whole: tuple[Path, str]) -> None:
    code = (
        "import sys; from training.__main__ import main; code = main(['verify', sys.argv[1]]); "
        "print({m.split('.')[0] for m in sys.modules} & {'torch', 'django', 'transformers', 'datasets'}); "
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(whole[0])], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"OK {whole[1]} 34 rows (train 24, validation 4, test 6)", "set()"]
