"""Rows of a snapshot that is being built: written in bulk under the build's claim, thrown away by the next attempt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction

from flywheel.datasets.models import Snapshot, SnapshotRefusal, SnapshotRow
from flywheel.work.claims import Claim

COLUMNS = (
    "snapshot_id", "leaf_index", "leaf_sha256", "split", "group_key", "example_id", "annotation_id", "record_id"
)
"""Of a row as `rows_insert` takes it."""


def rows_clear(snapshot: Snapshot) -> None:
    """Throw away rows and refusals of a snapshot whose job or row the caller has locked."""
    SnapshotRow.objects.filter(snapshot=snapshot).delete()
    SnapshotRefusal.objects.filter(snapshot=snapshot).delete()


def rows_insert(claim: Claim, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert plain tuples in the order of COLUMNS. Raises Superseded.

    No model object is made for each of millions of rows, because that takes most of the time otherwise.
    """
    target = f"{SnapshotRow._meta.db_table} ({', '.join(COLUMNS)})"
    with transaction.atomic(), connection.cursor() as cursor:
        claim.lock()
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {target} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            marks = ", ".join(["%s"] * len(COLUMNS))
            cursor.executemany(f"INSERT INTO {target} VALUES ({marks})", rows)  # noqa: S608
