"""What a withdrawal reaches in snapshots: rows and snapshots are marked as tainted, and stay as evidence.

A tainted snapshot is no longer trained on or handed out. Its files are kept: what a model saw must be provable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.core.actors import SYSTEM, Actor
from flywheel.core.batching import batched
from flywheel.datasets.models import Snapshot, SnapshotRow

Status = Snapshot.Status


@dataclass(frozen=True, slots=True)
class SnapshotsReached:
    """What holds the records: snapshots by identifier and name, rows, and how many rows were tainted just now."""

    snapshots: list[dict[str, Any]]
    rows: int
    tainted_now: int

    def to_json(self) -> dict[str, Any]:
        """As a withdrawal's receipt has it."""
        return {"snapshots": self.snapshots, "rows": self.rows}


def snapshots_withdraw(
    record_ids: Iterable[int], *, purposes: Sequence[str] | None = None, by: Actor = SYSTEM
) -> SnapshotsReached:
    """Taint every frozen row made of these records, and the snapshots that hold them. Twice is the same as once.

    `purposes` limits it to snapshots for these (None: all). A snapshot that is still being built looks for itself
    before it freezes.
    """
    reached: dict[int, dict[str, Any]] = {}
    rows = tainted = 0
    for batch in batched(record_ids):
        with transaction.atomic():
            held = _snapshots_holding(batch, purposes)
            # Locked in one order, so that two walks never wait for each other.
            for snapshot in Snapshot.objects.select_for_update().filter(pk__in=held).order_by("pk"):
                rows += SnapshotRow.objects.filter(snapshot=snapshot, record_id__in=batch).count()
                reached.setdefault(
                    snapshot.pk, {"uid": str(snapshot.uid), "name": snapshot.name, "purpose": snapshot.purpose}
                )
            now = rows_taint(record_ids=batch, snapshots=held)
            tainted += now
            if now:
                ledger_append(
                    actor=by, action=Action.SNAPSHOT_TAINT, object="snapshots",
                    touched={"snapshot": held, "record": batch},
                    payload={"snapshots": [reached[pk]["uid"] for pk in held], "rows": now, "tainted_records": batch},
                )
    return SnapshotsReached(list(reached.values()), rows, tainted)


def _snapshots_holding(record_ids: list[int], purposes: Sequence[str] | None) -> list[int]:
    rows = SnapshotRow.objects.filter(
        record_id__in=record_ids, snapshot__status__in=[Status.FROZEN, Status.TAINTED]
    )
    if purposes is not None:
        rows = rows.filter(snapshot__purpose__in=purposes)
    return sorted(set(rows.values_list("snapshot_id", flat=True)))


def rows_taint(*, record_ids: Sequence[int], snapshots: Sequence[int]) -> int:
    """Mark rows and their snapshots, in the caller's transaction. Returns how many rows were not marked before."""
    now = timezone.now()
    marked = SnapshotRow.objects.filter(
        snapshot_id__in=snapshots, record_id__in=record_ids, tainted_at=None
    ).update(tainted_at=now)
    Snapshot.objects.filter(pk__in=snapshots, status=Status.FROZEN).update(status=Status.TAINTED, tainted_at=now)
    return marked
