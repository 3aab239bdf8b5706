"""The one writer of snapshot folders: rows and counts, the Merkle root, and the tree that proofs are read from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from training.contract.files import file_entry
from training.contract.merkle import MerkleTree, leaf_hash
from training.contract.rows import Row
from training.contract.snapshot.layout import SCHEMA, TREE, SplitEntry, rows_file
from training.contract.snapshot.parquet import ParquetRows
from training.contract.snapshot.tally import Tally
from training.contract.snapshot.tree import tree_write

Append = Callable[[Row], tuple[int, bytes]]
"""Adds a row; returns its number among all leaves and its leaf hash (32 bytes)."""


class SnapshotWriter:
    """Writes the rows of a snapshot into `folder`, in constant memory but for the names of groups.

    The caller writes the splits in the order of SPLITS and the rows of a split in ascending order of id, because that
    is the order of the leaves. `facts` is complete after the `with` block; `layout.manifest_write` makes the folder a
    snapshot.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.tally = folder, Tally()
        self.splits: dict[str, SplitEntry] = {}
        self._tree = MerkleTree()
        self._leaves = (folder / TREE).open("wb")

    @contextmanager
    def split_rows(self, split: str) -> Iterator[Append]:
        """Open the file of one split; gives the function that adds rows to it. Raises RowError, OSError."""
        path = self.folder / rows_file(split)
        with ParquetRows(path) as rows:
            def append(row: Row) -> tuple[int, bytes]:
                index, leaf = self._tree.size, leaf_hash(row.canonical())
                self._tree.append(leaf)
                self._leaves.write(leaf)
                rows.append(row)
                self.tally.add(row)
                return index, leaf

            yield append
        # After the block, because Parquet writes its footer when it is closed.
        self.splits[split] = {"file": path.name, "rows": rows.rows, **file_entry(path)}

    @property
    def root(self) -> str:
        """Merkle root of the rows so far, hex."""
        return self._tree.root().hex()

    def facts(self) -> dict[str, Any]:
        """The keys of the manifest that follow from the rows."""
        return {"schema": SCHEMA, "merkle_root": self.root, "splits": self.splits, **self.tally.to_json()}

    def __enter__(self) -> SnapshotWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaves.close()
        # An abandoned folder needs no tree.
        if kind is None:
            tree_write(self.folder / TREE, self._tree.size)
