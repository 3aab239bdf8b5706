"""Reading a frozen snapshot and checking it: schema, digests, counts, Merkle root, order, ids and groups.

Needs pyarrow and the standard library only, so that an auditor can run it without Django or torch.
Freezing a snapshot is left to datasets; turning rows into tokens to `training.encoding`.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from training.contract.merkle import MerkleTree, leaf_hash
from training.contract.rows import SPLITS, Message, Row, RowError, row_from_json
from training.errors import SnapshotError
from training.models import is_folder

MANIFEST = "manifest.json"
DOCUMENTS = ("README.md", "tree.bin")
"""Files beside the rows that may stand in the folder: the card, and the tree that proofs are read from."""

SCHEMA = "flywheel.snapshot/1"
TEXT_COLUMNS = ("id", "split", "group", "label", "license", "source", "provenance", "extra")
BATCH_ROWS = 1024
MAX_PROBLEMS = 20


@dataclass(slots=True)
class Report:
    """What checking found. `problems` is empty when the snapshot is whole."""

    rows: int = 0
    root: str = ""
    splits: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def manifest_read(folder: Path) -> dict[str, Any]:
    """The manifest as JSON values. Raises SnapshotError when it is absent or not of the schema."""
    path = folder / MANIFEST
    if not is_folder(folder):
        raise SnapshotError(f"{folder} is not a folder; name a snapshot's folder")
    if path.exists() and not path.is_file():
        raise SnapshotError(f"{path} is no file; freeze or download the snapshot again")
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
        # A name with a folder in it could point the check at a file outside the snapshot.
        if not isinstance(name, str) or not name or Path(name).name != name or name in (".", ".."):
            raise SnapshotError(f"{path}: split {split!r} names file {name!r}; give a file of this folder")
    return manifest


def rows_read(folder: Path, split: str) -> Iterator[Row]:
    """Stream the rows of one split in file order, in constant memory. Raises SnapshotError, RowError."""
    entry = manifest_read(folder)["splits"].get(split)
    if entry is None:
        return
    yield from file_rows(folder / entry["file"])


def file_rows(path: Path) -> Iterator[Row]:
    """Stream the rows of one Parquet file. Raises SnapshotError, RowError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.exists() and not path.is_file():
        raise SnapshotError(f"{path} is no file; download the snapshot again")
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            _schema_check(path, file.schema_arrow)
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=[*TEXT_COLUMNS, "messages"]):
                yield from _batch_rows(batch)
    except FileNotFoundError:
        raise SnapshotError(f"{path} is missing; freeze or download the snapshot again") from None
    except UnicodeDecodeError as error:
        reason = error.reason
        raise SnapshotError(f"{path} holds text that is not UTF-8 ({reason}); freeze the snapshot again") from None
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise SnapshotError(f"{path} cannot be read as Parquet ({reason}); download the snapshot again") from None


def _schema_check(path: Path, schema: Any) -> None:
    import pyarrow as pa

    known = set(schema.names)
    if len(known) < len(schema.names):
        twice = next(name for name in schema.names if schema.names.count(name) > 1)
        raise SnapshotError(f"{path} has column {twice!r} twice; freeze the snapshot again")
    for name in (*TEXT_COLUMNS, "messages"):
        if name not in known:
            raise SnapshotError(f"{path} has no column {name!r}; freeze the snapshot again")
    for name in TEXT_COLUMNS:
        kind = schema.field(name).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)):
            raise SnapshotError(f"{path}: column {name!r} is {kind}; it must be text")
    kind = schema.field("messages").type
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not is_list or not pa.types.is_struct(kind.value_type):
        raise SnapshotError(f"{path}: column 'messages' is {kind}; it must be a list of structs")
    inner = {f.name for f in kind.value_type}
    if inner != {"role", "content", "weight"}:
        raise SnapshotError(f"{path}: messages hold {sorted(inner)}; they must hold role, content, weight")


def _batch_rows(batch: Any) -> Iterator[Row]:
    columns = batch.to_pydict()
    for values in zip(*(columns[name] for name in (*TEXT_COLUMNS, "messages")), strict=True):
        record = dict(zip((*TEXT_COLUMNS, "messages"), values, strict=True))
        text = record["extra"]
        try:
            record["extra"] = json.loads(text) if text and text != "{}" else {}
        except (ValueError, TypeError, RecursionError):
            raise RowError(f"row {record['id']!r} has extra {text[:200]!r}; give a JSON object as text") from None
        yield row_from_json(record)


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
    tree = MerkleTree()
    seen = _Seen()
    for split in SPLITS:
        entry = manifest["splits"].get(split)
        if entry is not None:
            _file_verify(folder / entry["file"], entry, report)
            report.splits[split] = _rows_verify(folder / entry["file"], split, tree, seen, report)
            _expect(report, f"split {split!r}: rows", entry.get("rows"), report.splits[split])
    report.rows, report.root = tree.size, tree.root().hex()
    for name, found in seen.counts().items():
        stated = manifest.get(name, found)
        # A name that stands with no row at all is no contradiction.
        stated = {key: rows for key, rows in stated.items() if rows} if isinstance(stated, dict) else stated
        _expect(report, name, stated, found)
    _expect(report, "rows", manifest.get("rows"), report.rows)
    _expect(report, "merkle_root", manifest.get("merkle_root"), report.root)
    if expected_root is not None and expected_root.lower() != report.root:
        report.problems.append(f"the root asked for is {expected_root}, the rows give {report.root}; wrong snapshot")
    return report


@dataclass(slots=True)
class _Seen:
    """What the rows read so far say: each row's split, each group's, and how many stand under each name."""

    split_of: dict[str, str] = field(default_factory=dict)
    group_split: dict[str, str] = field(default_factory=dict)
    licenses: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)

    def counts(self) -> dict[str, object]:
        """The manifest's counts that can be taken from the rows again."""
        return {"licenses": dict(self.licenses), "sources": dict(self.sources), "groups": len(self.group_split)}


def _folder_verify(folder: Path, manifest: dict[str, Any], report: Report) -> None:
    """The folder holds what the manifest names and nothing else; documents beside the rows fit their digests."""
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


def _expect(report: Report, what: str, stated: object, found: object) -> None:
    if stated != found:
        report.problems.append(f"{what}: the manifest says {stated!r}, the files give {found!r}")


def _file_verify(path: Path, entry: dict[str, Any], report: Report) -> None:
    if path.exists() and not path.is_file():
        # Reading a pipe or a device would never end.
        report.problems.append(f"{path.name} is no file; download the snapshot again")
        return
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = path.stat().st_size
    except OSError as error:
        report.problems.append(f"{path.name} cannot be read ({error.strerror}); download the snapshot again")
        return
    _expect(report, f"{path.name}: sha256", entry.get("sha256"), digest)
    if "bytes" in entry:
        _expect(report, f"{path.name}: bytes", entry["bytes"], size)


def _rows_verify(path: Path, split: str, tree: MerkleTree, seen: _Seen, report: Report) -> int:
    """Add the file's rows to `tree` and check each; returns how many were read."""
    count, previous = 0, ""
    say = _Problems(report)
    try:
        for row in file_rows(path):
            count += 1
            tree.append(leaf_hash(row.canonical()))
            if row.split != split:
                say(f"row {row.id!r} says split {row.split!r} and stands in {split!r}")
            if row.id in seen.split_of:
                say(f"row id {row.id!r} stands twice ({seen.split_of[row.id]} and {split})")
            elif row.id < previous:
                say(f"row {row.id!r} follows {previous!r}; rows stand in ascending order of id")
            seen.split_of[row.id], previous = split, row.id
            seen.licenses[row.license] += 1
            seen.sources[row.source] += 1
            other = seen.group_split.setdefault(row.group, split)
            if other != split:
                say(f"group {row.group!r} stands in {other} and {split} (row {row.id!r}); a group has one split")
    except (SnapshotError, RowError) as error:
        report.problems.append(str(error))
    return count


class _Problems:
    """Adds problems to a report, up to a bound for each file: a broken file must not flood the screen."""

    def __init__(self, report: Report) -> None:
        self._report, self._left = report, MAX_PROBLEMS

    def __call__(self, problem: str) -> None:
        if self._left > 0:
            self._report.problems.append(problem)
        elif self._left == 0:
            self._report.problems.append("… and more of the like")
        self._left -= 1


def snapshot_check(folder: Path, root: str) -> Report:
    """Verify and refuse. Raises SnapshotError naming the first problem and how many there are."""
    report = snapshot_verify(folder, root)
    if report.problems:
        more = f" (and {len(report.problems) - 1} more problems)" if len(report.problems) > 1 else ""
        raise SnapshotError(f"snapshot {folder} does not verify: {report.problems[0]}{more}")
    return report


def snapshot_rows(folder: Path, split: str, limit: int | None = None) -> list[Row]:
    """The first `limit` rows of a split, in order of id."""
    rows: list[Row] = []
    for row in rows_read(folder, split):
        if limit is not None and len(rows) >= limit:
            break
        rows.append(row)
    return rows


__all__ = ["Message", "Report", "SnapshotError", "manifest_read", "rows_read", "snapshot_check", "snapshot_rows",
           "snapshot_verify"]
