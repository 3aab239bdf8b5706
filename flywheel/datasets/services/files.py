"""Handing out what was frozen: files, chat lines streamed from Parquet, inclusion proofs. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any
from uuid import UUID

from django.core.files.storage import default_storage

from flywheel.core.errors import Conflict, NotFound
from flywheel.datasets import formats, manifest
from flywheel.datasets.models import Snapshot, SnapshotRow
from flywheel.datasets.selectors import unusable
from training.contract.rows import SPLITS

PIECE = 256 * 1024
ALL = "all"
LINES = 500
"""Lines that are sent at once."""


def snapshot_file_open(*, snapshot: Snapshot, name: str) -> tuple[IO[bytes], int]:
    """One file of a frozen snapshot and its size in bytes. Raises NotFound, and Conflict when it is not handed out.

    The manifest and the card of a tainted or ended snapshot are evidence and stay open; its rows do not.
    """
    rows = [f"{split}.parquet" for split in SPLITS]
    if name not in (*rows, manifest.MANIFEST, manifest.CARD, manifest.TREE):
        raise NotFound(f"snapshot '{snapshot.name}' has no file {name!r}; it has {', '.join(rows)}, "
                       f"{manifest.MANIFEST} and {manifest.CARD}")
    _frozen(snapshot)
    if name in rows:
        _usable(snapshot)
    path = f"{snapshot.path}/{name}"
    if not default_storage.exists(path):
        raise NotFound(f"file {name} of snapshot '{snapshot.name}' is not in storage any more")
    return default_storage.open(path), default_storage.size(path)


def _frozen(snapshot: Snapshot) -> None:
    if snapshot.status not in (Snapshot.Status.FROZEN, Snapshot.Status.TAINTED):
        raise Conflict(
            f"snapshot '{snapshot.name}' is {snapshot.get_status_display().lower()}; only a frozen one has files"
        )


def _usable(snapshot: Snapshot) -> None:
    if problem := unusable(snapshot):
        raise Conflict(f"{problem}; freeze a new one")


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """A file in pieces of constant size, closed at the end."""
    with file:
        while piece := file.read(PIECE):
            yield piece


def openai_stream(*, snapshot: Snapshot, split: str = "train") -> Iterator[bytes]:
    """One split (or `all`) as OpenAI chat fine-tuning JSONL, in constant memory. Refuses before the first byte."""
    return _stream(snapshot, split, formats.openai_line)


def plain_text_stream(*, snapshot: Snapshot, split: str = "train") -> Iterator[bytes]:
    """One split (or `all`) as plain text, each conversation ended by a line of three dashes, in constant memory."""
    return _stream(snapshot, split, lambda messages: f"{formats.plain_text(messages)}\n\n---\n\n".encode())


def _stream(snapshot: Snapshot, split: str, line: Callable[[list[dict[str, Any]]], bytes]) -> Iterator[bytes]:
    if split not in (*SPLITS, ALL):
        raise NotFound(f"there is no split {split!r}; use one of {', '.join(SPLITS)}, or {ALL}")
    # Opened before the first byte is sent, so that a refusal is still an answer of its own.
    files = [
        snapshot_file_open(snapshot=snapshot, name=f"{name}.parquet")[0]
        for name in (SPLITS if split == ALL else (split,))
    ]
    return _lines(files, line)


def _lines(files: list[IO[bytes]], line: Callable[[list[dict[str, Any]]], bytes]) -> Iterator[bytes]:
    held: list[bytes] = []
    with ExitStack() as stack:
        for file in files:
            stack.enter_context(file)
        for messages in chain.from_iterable(map(formats.parquet_messages, files)):
            held.append(line(messages))
            if len(held) >= LINES:
                yield b"".join(held)
                held = []
    if held:
        yield b"".join(held)


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That one example is a row of the snapshot (RFC 9162, 2.1.3): hashes in hex, siblings from the leaf up."""

    example_uid: str
    leaf_index: int
    tree_size: int
    leaf_sha256: str
    proof: list[str]
    merkle_root: str
    tainted: bool


def proof_of(*, snapshot: Snapshot, example_uid: UUID) -> InclusionProof:
    """The proof for one example; a tainted row keeps its own. Raises NotFound when it is no row of the snapshot."""
    _frozen(snapshot)
    row = SnapshotRow.objects.filter(snapshot=snapshot, example__uid=example_uid).first()
    if row is None:
        raise NotFound(f"example {example_uid} is no row of snapshot '{snapshot.name}'")
    file, _ = snapshot_file_open(snapshot=snapshot, name=manifest.TREE)
    with file:
        proof = manifest.tree_proof(file, snapshot.row_count, row.leaf_index)
    return InclusionProof(
        example_uid=str(example_uid), leaf_index=row.leaf_index, tree_size=snapshot.row_count,
        leaf_sha256=row.leaf_sha256, proof=[node.hex() for node in proof], merkle_root=snapshot.merkle_root,
        tainted=row.tainted_at is not None,
    )
