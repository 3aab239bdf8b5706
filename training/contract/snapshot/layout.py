"""Names in a snapshot folder: its files, its columns and the keys of its manifest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from training.contract.files import FileEntry, file_entry

SCHEMA = "flywheel.snapshot/1"

MANIFEST = "manifest.json"
CARD = "README.md"
TREE = "tree.bin"
DOCUMENTS = (CARD, TREE)
"""Files beside the rows: the dataset card, and the tree that inclusion proofs are read from."""

TEXT_COLUMNS = ("id", "split", "group", "label", "license", "source", "provenance")
COLUMNS = (*TEXT_COLUMNS, "messages", "extra")
"""Columns of a Parquet file in their order. `extra` is a JSON object as text."""


class SplitEntry(FileEntry):
    """A Parquet file in the manifest."""

    file: str
    rows: int


class Manifest(TypedDict):
    """manifest.json. Times are in the manifest only, never in rows, so that equal rows have equal Merkle roots.

    The required keys describe the rows, and `verify` recomputes them. The others are the web's: what was requested,
    what the gate refused, and until when the rows stay cleared.
    """

    schema: str
    name: str
    seed: int
    merkle_root: str
    rows: int
    splits: dict[str, SplitEntry]
    licenses: dict[str, int]
    sources: dict[str, int]
    languages: dict[str, int]
    labels: dict[str, dict[str, int]]
    groups: int
    token_statistics: dict[str, Any]
    documents: NotRequired[dict[str, FileEntry]]
    uid: NotRequired[str]
    project: NotRequired[str]
    purpose: NotRequired[str]
    region: NotRequired[str]
    commercial: NotRequired[bool]
    shares: NotRequired[dict[str, float]]
    system_prompt: NotRequired[str]
    gate: NotRequired[dict[str, Any]]
    cleared_until: NotRequired[str | None]
    share_alike: NotRequired[bool]
    attribution: NotRequired[bool]
    created_at: NotRequired[str]


def rows_file(split: str) -> str:
    """Name of the Parquet file of a split."""
    return f"{split}.parquet"


def manifest_write(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Write manifest.json with the digests of the documents in `folder`, and return what was written.

    Call it last: a folder with a manifest is complete.
    """
    documents = {name: file_entry(folder / name) for name in DOCUMENTS if (folder / name).is_file()}
    whole = {**manifest, "documents": documents}
    # Sorted and indented, so that two manifests can be compared line by line.
    text = json.dumps(whole, indent=2, ensure_ascii=False, sort_keys=True)
    (folder / MANIFEST).write_bytes(text.encode() + b"\n")
    return whole
