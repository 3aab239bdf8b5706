"""Rows of a snapshot being built, kept in a file on local disk until the split of every group is known.

Memory stays constant, and the rows come from one state of the database, because nothing is read from it twice.
"""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.contract.rows import Message, Row
from training.contract.snapshot import GroupSize, group_name

_TABLE = """CREATE TABLE row (
    uid TEXT PRIMARY KEY, node INTEGER, root INTEGER, split INTEGER, label TEXT, example INTEGER, annotation INTEGER,
    record INTEGER, body TEXT
) WITHOUT ROWID"""


@dataclass(frozen=True, slots=True)
class Spooled:
    """A cleared row before its split is known. `node` is one of its grouping keys."""

    uid: str
    node: int
    label: str
    example_id: int
    annotation_id: int
    record_id: int
    license: str
    source: str
    provenance: str
    messages: tuple[Message, ...]
    extra: dict[str, str]


@dataclass(frozen=True, slots=True)
class Placed:
    """A row with its split, and the primary keys of its example, annotation and record."""

    row: Row
    example_id: int
    annotation_id: int
    record_id: int


class Spool:
    """A temporary SQLite file. One process writes and reads it, and it is deleted with its folder."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        # The file does not outlive the process, so it need not survive a crash.
        self._db.execute("PRAGMA journal_mode=OFF")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("PRAGMA cache_size=-32000")
        self._db.execute(_TABLE)

    def add(self, rows: list[Spooled]) -> None:
        """Keep rows. An example that is in the project twice keeps its first row."""
        self._db.execute("BEGIN")
        self._db.executemany(
            "INSERT OR IGNORE INTO row (uid, node, label, example, annotation, record, body) VALUES (?,?,?,?,?,?,?)",
            [(r.uid, r.node, r.label, r.example_id, r.annotation_id, r.record_id, _body_text(r)) for r in rows],
        )
        self._db.execute("COMMIT")

    def nodes(self) -> Iterator[tuple[int, str, int]]:
        """(grouping key, label, rows) of everything kept."""
        yield from self._db.execute("SELECT node, label, count(*) FROM row GROUP BY node, label")

    def place(self, roots: dict[int, int], splits: dict[int, int]) -> None:
        """Give every row its group's root and split number; `roots` by grouping key, `splits` by root."""
        # Two updates over the whole table: SQLite calls the functions, and no row travels through Python.
        self._db.create_function("root_of", 1, roots.__getitem__, deterministic=True)
        self._db.create_function("split_of", 1, splits.__getitem__, deterministic=True)
        self._db.execute("BEGIN")
        self._db.execute("UPDATE row SET root = root_of(node)")
        self._db.execute("UPDATE row SET split = split_of(root)")
        self._db.execute("COMMIT")
        # Built last, because updating every row would update the index too.
        self._db.execute("CREATE INDEX row_order ON row (split, uid)")

    def split(self, number: int, name: str) -> Iterator[Placed]:
        """The rows of one split in ascending order of their identifiers."""
        rows = self._db.execute(
            "SELECT uid, root, label, example, annotation, record, body FROM row WHERE split = ? ORDER BY uid",
            (number,),
        )
        for uid, root, label, example, annotation, record, body in rows:
            license_spdx, source, provenance, messages, extra = json.loads(body)
            yield Placed(
                Row(
                    id=uid, messages=tuple(Message(*m) for m in messages), split=name, group=group_name(root),
                    label=label, license=license_spdx, source=source, provenance=provenance, extra=extra,
                ),
                example, annotation, record,
            )

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def group_sizes(spool: Spool, root_of: Any) -> tuple[dict[int, int], dict[int, GroupSize]]:
    """The root of each grouping key, and the size of each group by root."""
    roots: dict[int, int] = {}
    labels: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for node, label, rows in spool.nodes():
        roots[node] = root_of(node)
        labels[roots[node]][label] += rows
    return roots, {root: GroupSize(dict(sorted(counts.items()))) for root, counts in labels.items()}


def _body_text(row: Spooled) -> str:
    messages = [(m.role, m.content, m.weight) for m in row.messages]
    return json.dumps([row.license, row.source, row.provenance, messages, row.extra])
