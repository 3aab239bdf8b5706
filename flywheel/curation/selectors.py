"""Reading what a snapshot is made of, and what its pages show. Every query is bounded or keyset-paged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet

from annotation.domain.labels import LabelConfig, label_of, reply_of
from annotation.label_config import label_config_of
from annotation.models import Project, Task
from flywheel.capture.models import Example
from flywheel.curation.models import Snapshot, SnapshotRefusal, SnapshotRow

CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Settled:
    """A settled task with what a row is made of, read as plain columns."""

    task_id: int
    example_id: int
    example_uid: UUID
    annotation_id: int
    annotation_uid: UUID
    record_id: int
    record_uid: UUID
    source: str
    include_notes: bool
    kind: str
    language: str
    redacted: list[dict[str, Any]]
    context_length: int
    group_key: str
    active: bool
    reply: str
    label: str


_COLUMNS = (
    "pk", "example_id", "example__uid", "settled_annotation_id", "settled_annotation__uid", "example__provenance_id",
    "example__provenance__uid", "example__source__name", "example__source__include_notes", "example__kind",
    "example__language", "example__redacted", "example__context_length", "example__group_key", "example__status",
    "settled_annotation__result", "example__label",
)


def settled_chunks(project: Project) -> Iterator[list[Settled]]:
    """All settled tasks of a project in order of their keys, a thousand at a time, one query each.

    Columns and not model objects: a snapshot reads everything there is, and this is several times quicker.
    """
    config = label_config_of(project)
    after = 0
    while True:
        rows = list(
            Task.objects.filter(
                project=project, state=Task.State.SETTLED, pk__gt=after, settled_annotation__isnull=False
            ).order_by("pk").values_list(*_COLUMNS)[:CHUNK]
        )
        if not rows:
            return
        yield [_settled(row, config) for row in rows]
        after = rows[-1][0]


def _settled(row: tuple[Any, ...], config: LabelConfig) -> Settled:
    *fields, status, result, example_label = row
    values = (*fields, status == "active", reply_of(result, config), label_of(result, config) or example_label)
    return Settled(*values)


def settled_count(project: Project) -> int:
    """How many tasks are settled."""
    return Task.objects.filter(project=project, state=Task.State.SETTLED).count()


def unsettled_count(project: Project) -> int:
    """How many tasks are neither settled nor withdrawn."""
    return Task.objects.filter(project=project, state__in=[Task.State.OPEN, Task.State.IN_REVIEW]).count()


def rows_of(snapshot: Snapshot) -> QuerySet[SnapshotRow]:
    """The snapshot's rows in order of their leaves, with what a list shows."""
    return SnapshotRow.objects.filter(snapshot=snapshot).select_related("example__source", "record")


def refusals_of(snapshot: Snapshot, rule: str = "") -> QuerySet[SnapshotRefusal]:
    """What the gates kept out, all or by the first rule that refused."""
    rows = SnapshotRefusal.objects.filter(snapshot=snapshot).select_related("example__source", "example__provenance")
    return rows.filter(rule=rule) if rule else rows


def tainted_count(snapshot: Snapshot) -> int:
    """How many rows a withdrawal has tainted."""
    return SnapshotRow.objects.filter(snapshot=snapshot, tainted_at__isnull=False).count()


def reach_count(record_ids: list[int]) -> dict[str, int]:
    """How many examples, tasks and snapshots hold these records."""
    found = SnapshotRow.objects.filter(record_id__in=record_ids, snapshot__frozen_at__isnull=False).aggregate(
        snapshots=Count("snapshot", distinct=True), rows=Count("pk")
    )
    tasks = Task.objects.filter(example__provenance_id__in=record_ids).count()
    return {"tasks": tasks, "snapshots": found["snapshots"], "snapshot rows": found["rows"]}


def example_link(record_uid: UUID) -> str:
    """The page of the example made of a provenance record; "" when there is none."""
    uid = Example.objects.filter(provenance__uid=record_uid).values_list("uid", flat=True).first()
    return f"/examples/{uid}/" if uid else ""
