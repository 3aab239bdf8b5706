"""Reading what a snapshot is made of, and what its pages show. Every query is bounded or keyset-paged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from annotation.domain.labels import LabelConfig, label_of, reply_of
from annotation.domain.redaction import redacted
from annotation.label_config import label_config_of
from annotation.models import Annotation, Project, Task
from flywheel.datasets.models import Snapshot, SnapshotRefusal, SnapshotRow
from provenance.models import GateVerdict, ProvenanceRecord

CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Settled:
    """A settled task with what a row is made of, read as plain columns. `reply` is redacted if it was `searched`."""

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
    searched: bool
    reply: str
    label: str


_COLUMNS = (
    "pk", "example_id", "example__uid", "settled_annotation_id", "settled_annotation__uid", "example__provenance_id",
    "example__provenance__uid", "example__source__name", "example__source__include_notes", "example__kind",
    "example__language", "example__redacted", "example__context_length", "example__group_key", "example__status",
    "settled_annotation__searched_at", "settled_annotation__result", "settled_annotation__pii", "example__label",
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
    *fields, status, searched_at, result, pii, example_label = row
    reply = reply_of(redacted(result, pii), config)
    label = label_of(result, config) or example_label
    values = (*fields, status == "active", searched_at is not None, reply, label)
    return Settled(*values)


def settled_count(project: Project) -> int:
    """How many tasks are settled."""
    return Task.objects.filter(project=project, state=Task.State.SETTLED).count()


def unsettled_count(project: Project) -> int:
    """How many tasks are neither settled nor closed nor withdrawn."""
    working = [Task.State.OPEN, Task.State.IN_REVIEW, Task.State.FLAGGED]
    return Task.objects.filter(project=project, state__in=working).count()


def flagged_records(snapshot: Snapshot) -> list[int]:
    """Records in a snapshot that is being built whose tasks were flagged or closed since they were read."""
    rows = SnapshotRow.objects.filter(
        snapshot=snapshot, annotation__settles__project=snapshot.project_id,
        annotation__settles__state__in=[Task.State.FLAGGED, Task.State.CLOSED],
    )
    return list(rows.values_list("record_id", flat=True))


def unusable(snapshot: Snapshot) -> str:
    """Why a frozen snapshot's rows are neither trained on nor handed out now; "" when they may be."""
    if snapshot.status == Snapshot.Status.TAINTED:
        return f"snapshot '{snapshot.name}' is tainted: it holds rows of people who withdrew their consent"
    if snapshot.cleared_until is not None and snapshot.cleared_until <= timezone.now():
        return (
            f"the consent, basis or retention of some rows of snapshot '{snapshot.name}' ended on "
            f"{snapshot.cleared_until:%Y-%m-%d}"
        )
    return ""


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


def holding(snapshots: QuerySet[Snapshot], subject: UUID) -> QuerySet[Snapshot]:
    """Of these snapshots, the frozen ones that hold rows of one person."""
    rows = SnapshotRow.objects.filter(record__subjects__uid=subject).order_by()
    return snapshots.filter(pk__in=rows.values("snapshot"), frozen_at__isnull=False)


def records_annotated(purpose: str, region: str) -> QuerySet[ProvenanceRecord]:
    """Records whose example has an annotation; purpose and region make no difference."""
    answers = Annotation.objects.filter(parent=None).exclude(state=Annotation.State.UNDONE)
    return ProvenanceRecord.objects.filter(pk__in=answers.order_by().values("task__example__provenance"))


def records_settled(purpose: str, region: str) -> QuerySet[ProvenanceRecord]:
    """Records with a settled answer; purpose and region make no difference."""
    settled = Task.objects.filter(state=Task.State.SETTLED)
    return ProvenanceRecord.objects.filter(pk__in=settled.order_by().values("example__provenance"))


def records_ready(purpose: str, region: str) -> QuerySet[ProvenanceRecord]:
    """Records with a settled answer that the gate cleared when it was asked last: what a snapshot would hold."""
    cleared = GateVerdict.objects.filter(purpose=purpose, region=region, cleared=True)
    return records_settled(purpose, region).filter(pk__in=cleared.values("record"))


STAGES: dict[str, tuple[str, Callable[[str, str], QuerySet[ProvenanceRecord]]]] = {
    "annotated": ("Annotated", records_annotated), "settled": ("Settled", records_settled),
    "ready": ("Settled and cleared", records_ready),
}
"""Stages of the clearance funnel that lie in annotation: name, title, and the records that got there."""
