"""Which attempt builds a snapshot: the one that claimed it last. One that was paused and wakes up changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from django.db import connection, transaction

from flywheel.datasets.models import Snapshot, SnapshotRefusal, SnapshotRow

COLUMNS = (
    "snapshot_id", "leaf_index", "leaf_sha256", "split", "group_key", "example_id", "annotation_id", "record_id"
)
"""Of a row as `rows_insert` takes it."""


class Superseded(Exception):
    """Another attempt builds this snapshot now, or it is no longer being built."""


def claim(snapshot: Snapshot) -> UUID:
    """Make this attempt the one that builds, and throw away what the one before wrote. Raises Superseded."""
    with transaction.atomic():
        locked = Snapshot.objects.select_for_update().get(pk=snapshot.pk)
        if locked.status != Snapshot.Status.BUILDING:
            raise Superseded(f"snapshot {snapshot.uid} is {locked.status}")
        rows_clear(snapshot)
        token = uuid4()
        Snapshot.objects.filter(pk=snapshot.pk).update(builder=token)
    return token


def rows_clear(snapshot: Snapshot) -> None:
    """Throw away rows and refusals of a snapshot whose row the caller has locked."""
    SnapshotRow.objects.filter(snapshot=snapshot).delete()
    SnapshotRefusal.objects.filter(snapshot=snapshot).delete()


def owned(snapshot: Snapshot, token: UUID) -> None:
    """Keep the snapshot ours until the caller's transaction ends. Raises Superseded when it is not."""
    held = Snapshot.objects.select_for_update(no_key=True).filter(
        pk=snapshot.pk, status=Snapshot.Status.BUILDING, builder=token
    )
    if held.values_list("pk", flat=True).first() is None:
        raise Superseded(f"snapshot {snapshot.uid} is built by another attempt")


def rows_insert(snapshot: Snapshot, token: UUID, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert plain tuples: no model object for each of millions of rows, which takes most of the time otherwise.

    Raises Superseded.
    """
    target = f"{SnapshotRow._meta.db_table} ({', '.join(COLUMNS)})"
    with transaction.atomic(), connection.cursor() as cursor:
        owned(snapshot, token)
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {target} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        else:
            marks = ", ".join(["%s"] * len(COLUMNS))
            cursor.executemany(f"INSERT INTO {target} VALUES ({marks})", rows)  # noqa: S608
