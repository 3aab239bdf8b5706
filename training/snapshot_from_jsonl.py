"""A snapshot folder from a JSONL file, with neither Django nor torch: `python -m training snapshot ROWS.jsonl OUT_DIR`.

For trying the trainer out and for data that comes from elsewhere. Nothing here asks for consent, licences or
personal data: that is what freezing a snapshot in the product does.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.artifacts import folder_replace, json_write
from training.contract import SPLITS, MerkleTree, Row, RowError, leaf_hash, row_from_json
from training.contract.digests import file_entry
from training.errors import BadInput
from training.snapshot import MANIFEST, SCHEMA, TEXT_COLUMNS, Report, snapshot_check

FIELDS = ("id", "messages", "split", "group", "label", "license", "source", "provenance", "extra")
MESSAGE_FIELDS = ("role", "content", "weight")


def snapshot_make(source: Path, out: Path, *, validation: float, test: float, seed: int, name: str) -> Report:
    """Write the folder and verify it. The same file, shares and seed give the same root. Raises BadInput."""
    for share_name, share in (("--validation", validation), ("--test", test)):
        if not 0 <= share < 1 or validation + test >= 1:
            raise BadInput(f"{share_name} is {share:g}; give shares of 0 or more that leave something to train on")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out} holds something already; name an empty or new folder")
    records = list(_records(source))
    splits = groups_split({r["group"] for r in records if "split" not in r}, validation, test, seed)
    rows = [_row(number, r | {"split": r.get("split") or splits[r["group"]]}) for number, r in enumerate(records, 1)]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with folder_replace(out) as work:
            root = _write(work, rows, name or source.stem, seed)
            return snapshot_check(work, root)
    except OSError as error:
        raise BadInput(f"{out} cannot be written ({error.strerror}); name a folder that can") from None


def groups_split(groups: set[str], validation: float, test: float, seed: int) -> dict[str, str]:
    """A split for each group, in an order that seed and names alone decide.

    With at least three groups no wanted split is empty.
    """
    order = sorted(groups, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
    counts = {split: max(round(share * len(order)), len(order) >= len(SPLITS)) if share else 0
              for split, share in (("validation", validation), ("test", test))}
    held_out = [split for split, count in counts.items() for _ in range(count)]
    return dict(zip(order, [*held_out, *["train"] * len(order)], strict=False))


def _records(source: Path) -> Iterator[dict[str, Any]]:
    """One row a line with every field but `split` filled in. Raises BadInput naming the line."""
    try:
        with source.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _record(number, line)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{str(source)[:200]} cannot be read ({error}); name a JSONL file") from None


def _record(number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise BadInput(f"line {number} is not JSON; write one object a line") from None
    if isinstance(value, dict) and set(value) == {"text"} and isinstance(value["text"], str):
        value = {"messages": [{"role": "user", "content": value["text"]}], "extra": value}
    if not isinstance(value, dict) or "messages" not in value or (unknown := sorted(set(value) - set(FIELDS))):
        what = f"unknown field {unknown[0]!r}" if isinstance(value, dict) and "messages" in value else "no messages"
        raise BadInput(f'line {number} has {what}; give {{"messages": […]}}, {{"text": "…"}}, or any of '
                       f"{', '.join(FIELDS)}")
    if isinstance(value["messages"], list):
        value["messages"] = [_message(number, m) for m in value["messages"]]
    value.setdefault("id", f"row-{number:08d}")
    # The same conversation twice must not stand in two splits.
    same = json.dumps(value["messages"], sort_keys=True).encode("utf-8", "surrogatepass")
    value.setdefault("group", hashlib.sha256(same).hexdigest()[:16])
    if not isinstance(value["group"], str):
        raise BadInput(f"line {number} has group {value['group']!r}; give text")
    return value


def _message(number: int, message: Any) -> Any:
    """A message with its weight: an assistant's teaches unless it says otherwise, nobody else's does."""
    if not isinstance(message, dict):
        return message
    unknown = sorted(set(message) - set(MESSAGE_FIELDS))
    if unknown:
        raise BadInput(f"line {number} has a message with {unknown[0]!r}; give {', '.join(MESSAGE_FIELDS)}")
    teaches = message.get("role") == "assistant"
    return message | {"weight": message.get("weight", 1) if teaches else 0}


def _row(number: int, record: dict[str, Any]) -> Row:
    try:
        return row_from_json(record)
    except RowError as error:
        raise BadInput(f"line {number}: {error}") from None


def _write(folder: Path, rows: list[Row], name: str, seed: int) -> str:
    """Parquet files and manifest; returns the Merkle root (hex)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    message = pa.struct([("role", pa.string()), ("content", pa.string()), ("weight", pa.int8())])
    schema = pa.schema([*((column, pa.string()) for column in TEXT_COLUMNS), ("messages", pa.list_(message))])
    tree, files = MerkleTree(), {}
    for split in SPLITS:
        mine = sorted((row for row in rows if row.split == split), key=lambda row: row.id)
        for row in mine:
            tree.append(leaf_hash(row.canonical()))
        records = [row.to_json() | {"extra": json.dumps(row.extra, ensure_ascii=False)} for row in mine]
        path = folder / f"{split}.parquet"
        pq.write_table(pa.Table.from_pylist(records, schema), path)
        files[split] = {"file": path.name, "rows": len(mine)} | file_entry(path)
    root = tree.root().hex()
    json_write(folder / MANIFEST, {
        "schema": SCHEMA, "name": name, "merkle_root": root, "rows": len(rows), "seed": seed, "splits": files,
        "licenses": Counter(row.license for row in rows), "groups": len({row.group for row in rows}),
    })
    return root
