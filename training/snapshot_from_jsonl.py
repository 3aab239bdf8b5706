"""A snapshot folder from a JSONL file, with neither Django nor torch: `python -m training snapshot ROWS.jsonl OUT_DIR`.

For trying out the trainer and for data that comes from elsewhere. Consent, licences and personal data are not checked
here; freezing a snapshot in the product does that.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.artifacts import folder_replace
from training.contract import SPLITS, Row, RowError, row_from_json
from training.contract.snapshot import GroupSize, group_node, groups_split, manifest_write, shares_problem
from training.contract.snapshot.reader import Report, snapshot_check
from training.contract.snapshot.writer import SnapshotWriter
from training.errors import BadInput

FIELDS = ("id", "messages", "split", "group", "label", "license", "source", "provenance", "extra")
MESSAGE_FIELDS = ("role", "content", "weight")


def snapshot_make(source: Path, out: Path, *, validation: float, test: float, seed: int, name: str) -> Report:
    """Write the folder and verify it. The same file, shares and seed give the same root. Raises BadInput.

    validation, test: shares of the rows, from 0; groups that name a split keep it.
    """
    if problem := shares_problem({"validation": validation, "test": test}):
        raise BadInput(problem)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadInput(f"{out} is not empty; name an empty or new folder")
    # All in memory, because the division into splits must know every group before the first row is written.
    records = list(_records_read(source))
    sizes: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    # Rows that name their split keep it and take no part in the division of the others.
    for record in records:
        if "split" not in record:
            sizes[record["group"]][str(record.get("label", ""))] += 1
    nodes = {group: group_node("group", group) for group in sizes}
    splits = groups_split(
        {nodes[group]: GroupSize(dict(sorted(labels.items()))) for group, labels in sizes.items()},
        seed=seed, shares={"validation": validation, "test": test},
    )
    rows = []
    for number, record in enumerate(records, 1):
        try:
            rows.append(row_from_json(record | {"split": record.get("split") or splits[nodes[record["group"]]]}))
        except RowError as error:
            raise BadInput(f"line {number}: {error}") from None
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # Verified before the folder gets its name, so that a snapshot is never found that does not verify.
        with folder_replace(out) as work:
            return snapshot_check(work, _folder_write(work, rows, name or source.stem, seed))
    except OSError as error:
        raise BadInput(f"{out} cannot be written ({error.strerror}); name a folder that can") from None


def _folder_write(folder: Path, rows: list[Row], name: str, seed: int) -> str:
    """Write rows and manifest. Returns the Merkle root (hex)."""
    with SnapshotWriter(folder) as writer:
        for split in SPLITS:
            with writer.split_rows(split) as append:
                for row in sorted((row for row in rows if row.split == split), key=lambda row: row.id):
                    append(row)
    manifest_write(folder, {"name": name, "seed": seed, **writer.facts()})
    return writer.root


def _records_read(source: Path) -> Iterator[dict[str, Any]]:
    """One record per line with every field but `split` filled in. Raises BadInput naming the line."""
    try:
        with source.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _record_parse(number, line)
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{str(source)[:200]} cannot be read ({error}); name a JSONL file") from None


def _record_parse(number: int, line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise BadInput(f"line {number} is not JSON; write one object a line") from None
    # A plain text for continued pretraining.
    if isinstance(value, dict) and set(value) == {"text"} and isinstance(value["text"], str):
        value = {"messages": [{"role": "user", "content": value["text"]}], "extra": value}
    if not isinstance(value, dict) or "messages" not in value or (unknown := sorted(set(value) - set(FIELDS))):
        what = f"unknown field {unknown[0]!r}" if isinstance(value, dict) and "messages" in value else "no messages"
        raise BadInput(f'line {number} has {what}; give {{"messages": […]}}, {{"text": "…"}}, or any of '
                       f"{', '.join(FIELDS)}")
    if isinstance(value["messages"], list):
        value["messages"] = [_message_parse(number, m) for m in value["messages"]]
    value.setdefault("id", f"row-{number:08d}")
    # Grouped by content, because the same conversation twice must not be in two splits.
    same = json.dumps(value["messages"], sort_keys=True).encode("utf-8", "surrogatepass")
    value.setdefault("group", hashlib.sha256(same).hexdigest()[:16])
    if not isinstance(value["group"], str):
        raise BadInput(f"line {number} has group {value['group']!r}; give text")
    return value


def _message_parse(number: int, message: Any) -> Any:
    """A message with its weight: an assistant's teaches unless it says otherwise, those of others never do."""
    if not isinstance(message, dict):
        return message
    unknown = sorted(set(message) - set(MESSAGE_FIELDS))
    if unknown:
        raise BadInput(f"line {number} has a message with {unknown[0]!r}; give {', '.join(MESSAGE_FIELDS)}")
    teaches = message.get("role") == "assistant"
    return message | {"weight": message.get("weight", 1) if teaches else 0}
