"""Reading a frozen snapshot: its files, exports streamed from Parquet, inclusion proofs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO
from uuid import UUID

from django.core.files.storage import default_storage

from flywheel.core.errors import Conflict, NotFound
from flywheel.datasets.exports import ExportFormat
from flywheel.datasets.models import Snapshot, SnapshotRow
from flywheel.datasets.selectors import unusable
from training.contract.rows import SPLITS
from training.contract.snapshot import CARD, MANIFEST, TREE, rows_file, tree_proof
from training.contract.snapshot.parquet import parquet_messages

PIECE = 256 * 1024
ALL = "all"
ROWS_AT_ONCE = 500
"""Rows of an export that are sent at once."""


def snapshot_file_open(*, snapshot: Snapshot, name: str) -> tuple[IO[bytes], int]:
    """One file of a frozen snapshot and its size in bytes. Raises NotFound, and Conflict when it is not handed out.

    The manifest and the card of a tainted or ended snapshot are evidence and stay open; its rows do not.
    """
    rows = [rows_file(split) for split in SPLITS]
    if name not in (*rows, MANIFEST, CARD, TREE):
        raise NotFound(f"snapshot '{snapshot.name}' has no file {name!r}; it has {', '.join(rows)}, "
                       f"{MANIFEST} and {CARD}")
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


def export_stream(*, snapshot: Snapshot, export: ExportFormat, split: str = "train") -> Iterator[bytes]:
    """One split (or `all`) in an export format, in constant memory.

    Raises NotFound for an unknown split and Conflict when the snapshot's rows may not be handed out, both before the
    first byte.
    """
    if split not in (*SPLITS, ALL):
        raise NotFound(f"split {split!r} does not exist; use one of {', '.join(SPLITS)}, or {ALL}")
    # The files are opened here and not in the generator, because a refusal after the first byte could not become an
    # error response any more.
    files = [
        snapshot_file_open(snapshot=snapshot, name=rows_file(name))[0]
        for name in (SPLITS if split == ALL else (split,))
    ]
    return _export_blocks(files, export)


def _export_blocks(files: list[IO[bytes]], export: ExportFormat) -> Iterator[bytes]:
    with ExitStack() as stack:
        for file in files:
            stack.enter_context(file)
        rows = chain.from_iterable(map(parquet_messages, files))
        # One chunk of the response for many rows: a chunk per row costs more than encoding it.
        while block := [export.encode(messages) for messages in islice(rows, ROWS_AT_ONCE)]:
            yield b"".join(block)


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
    """The proof for one example; a tainted row keeps its own. Raises NotFound when it is not in the snapshot."""
    _frozen(snapshot)
    row = SnapshotRow.objects.filter(snapshot=snapshot, example__uid=example_uid).first()
    if row is None:
        raise NotFound(f"example {example_uid} is not in snapshot '{snapshot.name}'")
    file, _ = snapshot_file_open(snapshot=snapshot, name=TREE)
    with file:
        proof = tree_proof(file, snapshot.row_count, row.leaf_index)
    return InclusionProof(
        example_uid=str(example_uid), leaf_index=row.leaf_index, tree_size=snapshot.row_count,
        leaf_sha256=row.leaf_sha256, proof=[node.hex() for node in proof], merkle_root=snapshot.merkle_root,
        tainted=row.tainted_at is not None,
    )
