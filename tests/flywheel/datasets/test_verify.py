"""`python -m training verify` against everything that can happen to a frozen snapshot's folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.flywheel.datasets.conftest import House
from training.__main__ import main
from training.contract.snapshot.reader import snapshot_verify

pytestmark = pytest.mark.django_db


@pytest.fixture
def frozen(request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a frozen snapshot's folder, to be spoilt. Frozen once in each process, since nothing here changes it."""
    kept = tmp_path_factory.getbasetemp() / "frozen-once"
    if not kept.exists():
        house: House = request.getfixturevalue("house")
        house.settle(40, customers=30)
        shutil.copytree(request.getfixturevalue("folder_of")(house.freeze()), kept)
    return shutil.copytree(kept, tmp_path / "copy")


def verify(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "training", "verify", str(folder), *more], capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )


def rewrite(path: Path, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Write other rows into a Parquet file of the same schema."""
    schema = pq.read_schema(path)
    pq.write_table(pa.Table.from_pylist(change(pq.read_table(path).to_pylist()), schema=schema), path)


def entry_fits(folder: Path, name: str, **fields: Any) -> None:
    """Make the manifest's digests fit a changed file, as a person with write access could."""
    import hashlib

    manifest = json.loads((folder / "manifest.json").read_text())
    content = (folder / name).read_bytes()
    entry = next(e for e in manifest["splits"].values() if e["file"] == name)
    entry.update({"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)} | fields)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def changed_manifest(folder: Path, **fields: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.slow
def test_a_whole_snapshot_verifies_on_the_command_line(frozen: Path) -> None:
    root = json.loads((frozen / "manifest.json").read_text())["merkle_root"]
    done = verify(frozen, "--root", root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"OK {root} 40 rows")
    assert verify(frozen, "--root", "0" * 64).returncode == 2


@pytest.mark.slow
def test_neither_django_nor_torch_is_imported(frozen: Path) -> None:
    code = (
        "import sys; from training.__main__ import main; code = main(['verify', sys.argv[1]]); "
        "bad = {'django', 'torch', 'transformers'} & set(sys.modules); print(bad); sys.exit(code or bool(bad))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(frozen)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def flip(path: Path, at: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 1
    path.write_bytes(bytes(data))


Spoil = Callable[[Path], object]
SPOILT: dict[str, tuple[Spoil, str]] = {
    "a bit of the rows": (lambda f: flip(f / "train.parquet", 0.3), "train.parquet: sha256"),
    "a bit of the footer": (lambda f: flip(f / "train.parquet", 0.99), "train.parquet"),
    "truncated": (lambda f: os.truncate(f / "train.parquet", 1000), "train.parquet"),
    "truncated to nothing": (lambda f: os.truncate(f / "test.parquet", 0), "test.parquet"),
    "missing rows": (lambda f: (f / "validation.parquet").unlink(), "validation.parquet cannot be read"),
    "missing manifest": (lambda f: (f / "manifest.json").unlink(), "has no manifest.json"),
    "splits swapped": (lambda f: (
        (f / "train.parquet").rename(f / "x"), (f / "test.parquet").rename(f / "train.parquet"),
        (f / "x").rename(f / "test.parquet")), "train.parquet: sha256"),
    "an additional file": (lambda f: (f / "extra.parquet").write_bytes(b"x"), "extra.parquet is not in the manifest"),
    "an additional folder": (lambda f: (f / "more").mkdir(), "more is not in the manifest"),
    "a symlink to the file": (lambda f: (
        shutil.move(f / "train.parquet", f.parent / "t"), (f / "train.parquet").symlink_to(f.parent / "t")),
        "train.parquet is a symbolic link"),
    "a symlink beside": (lambda f: (f / "passwd").symlink_to("/etc/passwd"), "passwd is a symbolic link"),
    "a dangling symlink": (lambda f: (
        (f / "test.parquet").unlink(), (f / "test.parquet").symlink_to("/nowhere")), "test.parquet"),
    "the card changed": (lambda f: (f / "README.md").write_text("# Anything goes"), "README.md: sha256"),
    "the tree changed": (lambda f: flip(f / "tree.bin", 0.5), "tree.bin: sha256"),
    "the manifest's root": (lambda f: changed_manifest(f, merkle_root="0" * 64), "merkle_root"),
    "the manifest's rows": (lambda f: changed_manifest(f, rows=41), "rows: the manifest says 41"),
    "the manifest's licences": (lambda f: changed_manifest(f, licenses={"CC0-1.0": 40}), "licenses: the manifest says"),
    "the manifest's sources": (lambda f: changed_manifest(f, sources={"other": 40}), "sources: the manifest says"),
    "the manifest's groups": (lambda f: changed_manifest(f, groups=1), "groups: the manifest says 1"),
    "no manifest but a list": (lambda f: (f / "manifest.json").write_text("[]"), "schema"),
    "a manifest of bytes": (lambda f: (f / "manifest.json").write_bytes(b"\xff\x00"), "cannot be read"),
    "a manifest too deep": (lambda f: (f / "manifest.json").write_text("[" * 100_000), "cannot be read"),
    "a file outside": (lambda f: changed_manifest(f, splits={"train": {"file": "../secret"}}), "file of this folder"),
    "unknown splits": (lambda f: changed_manifest(f, splits={"prod": {}}), "splits"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_was_done_to_a_folder_is_named(frozen: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    spoil, says = SPOILT[name]
    spoil(frozen)
    problems = snapshot_verify(frozen).problems
    assert any(says in problem for problem in problems), problems
    assert main(["verify", str(frozen)]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert "Traceback" not in said


# -- forgeries with digests that fit ---------------------------------------------------------------------------------
def other_reply(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows[0]["messages"][-1]["content"] = "Buy our other product."
    return rows


def other_weight(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows[0]["messages"][0]["weight"] = 1
    return rows


def other_licence(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows[0]["license"] = "CC0-1.0"
    return rows


@pytest.mark.parametrize("change", [
    other_reply, other_weight, other_licence, lambda rows: rows[:-1], lambda rows: rows[::-1], lambda rows: rows[:1] + rows,
    lambda rows: [row | {"group": "x"} for row in rows], lambda rows: [row | {"extra": "{}"} for row in rows],
    lambda rows: [row | {"split": "test"} for row in rows], lambda rows: [row | {"provenance": ""} for row in rows],
])
def test_other_rows_under_digests_that_fit_give_another_root(frozen: Path, change: Any) -> None:
    rewrite(frozen / "train.parquet", change)
    entry_fits(frozen, "train.parquet", rows=pq.read_metadata(frozen / "train.parquet").num_rows)
    assert any("merkle_root" in problem for problem in snapshot_verify(frozen).problems)


def test_the_same_rows_written_by_another_writer_keep_their_root(frozen: Path) -> None:
    pq.write_table(pq.read_table(frozen / "train.parquet"), frozen / "train.parquet", compression="none", row_group_size=3)
    entry_fits(frozen, "train.parquet")
    assert snapshot_verify(frozen).problems == []


def test_a_folder_without_card_and_tree_is_enough_to_train_on(frozen: Path) -> None:
    for name in ("README.md", "tree.bin"):
        (frozen / name).unlink()
    assert snapshot_verify(frozen).problems == []
