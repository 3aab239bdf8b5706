"""Reading a snapshot folder and verifying it: schema, digests, counts, Merkle root, order, ids and groups.

Needs neither Django nor torch, so that an auditor can run it with pyarrow alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from training.contract.errors import RowError, SnapshotError
from training.contract.files import file_entry, is_folder
from training.contract.merkle import MerkleTree, leaf_hash
from training.contract.rows import SPLITS, Row
from training.contract.snapshot.layout import DOCUMENTS, MANIFEST, SCHEMA
from training.contract.snapshot.parquet import file_rows
from training.contract.snapshot.tally import Tally

MAX_PROBLEMS = 20
"""Problems reported per file, because a broken file must not flood the terminal."""


@dataclass(slots=True)
class Report:
    """Result of a verification. `problems` is empty when the snapshot is intact."""

    rows: int = 0
    root: str = ""
    splits: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def expect(self, what: str, stated: object, found: object) -> None:
        """Record a problem where the manifest and the files differ."""
        if stated != found:
            self.problems.append(f"{what}: the manifest says {stated!r}, the files give {found!r}")


def manifest_read(folder: Path) -> dict[str, Any]:
    """The manifest as JSON values. Raises SnapshotError when it is absent or does not fit the schema."""
    path = folder / MANIFEST
    if not is_folder(folder):
        raise SnapshotError(f"{folder} is not a folder; name a snapshot's folder")
    # Reading a pipe or a device would never end.
    if path.exists() and not path.is_file():
        raise SnapshotError(f"{path} is not a file; freeze or download the snapshot again")
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise SnapshotError(f"{folder} has no {MANIFEST}; name a snapshot's folder") from None
    except (ValueError, OSError, RecursionError) as error:
        raise SnapshotError(f"{path} cannot be read ({error}); freeze or download the snapshot again") from None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        found = manifest.get("schema") if isinstance(manifest, dict) else type(manifest).__name__
        raise SnapshotError(f"{path} has schema {found!r}; this trainer reads {SCHEMA!r}")
    splits = manifest.get("splits")
    if not isinstance(splits, dict) or not splits or set(splits) - set(SPLITS):
        raise SnapshotError(f"{path} has splits {splits!r}; give any of {', '.join(SPLITS)}")
    for split, entry in splits.items():
        name = entry.get("file") if isinstance(entry, dict) else None
        # A name with a folder in it could point verification at a file outside the snapshot.
        if not isinstance(name, str) or not name or Path(name).name != name or name in (".", ".."):
            raise SnapshotError(f"{path}: split {split!r} names file {name!r}; give a file of this folder")
    return manifest


def rows_read(folder: Path, split: str) -> Iterator[Row]:
    """Stream the rows of one split in file order, in constant memory. Raises SnapshotError, RowError."""
    entry = manifest_read(folder)["splits"].get(split)
    if entry is not None:
        yield from file_rows(folder / entry["file"])


def snapshot_rows(folder: Path, split: str, limit: int | None = None) -> list[Row]:
    """The first `limit` rows of a split in order of id, all of them for None. Raises SnapshotError, RowError."""
    return list(islice(rows_read(folder, split), limit))


def snapshot_check(folder: Path, root: str) -> Report:
    """Verify against `root` (hex). Raises SnapshotError with the first problem and the number of others."""
    report = snapshot_verify(folder, root)
    if report.problems:
        more = f" (and {len(report.problems) - 1} more problems)" if len(report.problems) > 1 else ""
        raise SnapshotError(f"snapshot {folder} does not verify: {report.problems[0]}{more}")
    return report


def snapshot_verify(folder: Path, expected_root: str | None = None) -> Report:
    """Check everything that can be checked from the folder alone; never raises for a broken snapshot.

    Order of leaves: train, validation, test; inside a split by row id ascending (code points).
    """
    report = Report()
    try:
        manifest = manifest_read(folder)
    except SnapshotError as error:
        report.problems.append(str(error))
        return report
    _folder_verify(folder, manifest, report)
    # All splits share one tree and one set of ids, because a row in two splits is an error too.
    tree, seen = MerkleTree(), _Seen()
    for split in SPLITS:
        entry = manifest["splits"].get(split)
        if entry is not None:
            path = folder / entry["file"]
            _file_verify(path, entry, report)
            report.splits[split] = _rows_verify(path, split, tree, seen, report)
            report.expect(f"split {split!r}: rows", entry.get("rows"), report.splits[split])
    report.rows, report.root = tree.size, tree.root().hex()
    counted = seen.tally.to_json()
    for name in ("licenses", "sources", "languages", "labels", "groups"):
        # A count that is not stated is not a contradiction, because earlier writers left some out.
        stated = manifest.get(name, counted[name])
        # A name with zero rows does not contradict the files.
        stated = {key: rows for key, rows in stated.items() if rows != 0} if isinstance(stated, dict) else stated
        report.expect(name, stated, counted[name])
    report.expect("rows", manifest.get("rows"), report.rows)
    report.expect("merkle_root", manifest.get("merkle_root"), report.root)
    if expected_root is not None and expected_root.lower() != report.root:
        report.problems.append(f"the root asked for is {expected_root}, the rows give {report.root}; wrong snapshot")
    return report


@dataclass(slots=True)
class _Seen:
    """What the rows read so far have shown, over all splits."""

    split_of_row: dict[str, str] = field(default_factory=dict)
    split_of_group: dict[str, str] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)


def _folder_verify(folder: Path, manifest: dict[str, Any], report: Report) -> None:
    """Check that the folder holds only what the manifest names, and the digests of the documents in it."""
    documents = manifest.get("documents")
    documents = documents if isinstance(documents, dict) else {}
    known = {MANIFEST, *DOCUMENTS, *documents, *(entry["file"] for entry in manifest["splits"].values())}
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            report.problems.append(f"{path.name} is a symbolic link, which may show something else later; copy it")
        elif path.name not in known:
            report.problems.append(f"{path.name} is not in the manifest; take it out of the folder")
        elif isinstance(documents.get(path.name), dict):
            _file_verify(path, documents[path.name], report)


def _file_verify(path: Path, entry: dict[str, Any], report: Report) -> None:
    """Compare a file with its digest and size in the manifest."""
    # Reading a pipe or a device would never end.
    if path.exists() and not path.is_file():
        report.problems.append(f"{path.name} is not a file; download the snapshot again")
        return
    try:
        found = file_entry(path)
    except OSError as error:
        report.problems.append(f"{path.name} cannot be read ({error.strerror}); download the snapshot again")
        return
    report.expect(f"{path.name}: sha256", entry.get("sha256"), found["sha256"])
    if "bytes" in entry:
        report.expect(f"{path.name}: bytes", entry["bytes"], found["bytes"])


def _rows_verify(path: Path, split: str, tree: MerkleTree, seen: _Seen, report: Report) -> int:
    """Add the file's rows to `tree` and check each of them. Returns the number of rows read."""
    problems: list[str] = []
    failure: list[str] = []
    count, previous = 0, ""
    try:
        for row in file_rows(path):
            count += 1
            tree.append(leaf_hash(row.canonical()))
            seen.tally.add(row)
            if row.split != split:
                problems.append(f"row {row.id!r} says split {row.split!r} and is in {split!r}")
            if row.id in seen.split_of_row:
                problems.append(f"row id {row.id!r} occurs twice ({seen.split_of_row[row.id]} and {split})")
            elif row.id < previous:
                problems.append(f"row {row.id!r} follows {previous!r}; rows must be in ascending order of id")
            seen.split_of_row[row.id], previous = split, row.id
            other = seen.split_of_group.setdefault(row.group, split)
            if other != split:
                problems.append(f"group {row.group!r} is in {other} and {split} (row {row.id!r}); a group has one "
                                "split")
            # Kept short while reading, because a broken file of millions of rows must not fill the memory.
            del problems[MAX_PROBLEMS + 1 :]
    except (SnapshotError, RowError) as error:
        failure = [str(error)]
    if len(problems) > MAX_PROBLEMS:
        problems[MAX_PROBLEMS:] = ["… and more like these"]
    report.problems += problems + failure
    return count
