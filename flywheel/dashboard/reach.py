"""What a withdrawal of one person's consent will reach, in every app: a preview's counts and the lists behind.

Nothing here changes anything; `flywheel.runs.services.withdrawal` carries a withdrawal out.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet
from django.urls import reverse

from annotation.models import Task
from flywheel.capture.models import Example
from flywheel.datasets.models import SnapshotRow
from flywheel.runs.models import ModelVersion, TrainingRun
from provenance.models import Subject
from provenance.selectors import records_of_subjects

MAX_RECORDS = 5_000
"""Records that a preview looks at, because a request must not grow with the data of one person."""


@dataclass(frozen=True, slots=True)
class Reached:
    """How many things of one kind, and the address of the list of them."""

    name: str
    count: int
    url: str


@dataclass(frozen=True, slots=True)
class ReachPreview:
    """What a withdrawal will reach. `at_least`: the person has more records than were counted."""

    reached: list[Reached]
    at_least: bool


def reach_preview(subject: Subject) -> ReachPreview:
    """What a withdrawal of this person will reach, by kind, counted for its first `MAX_RECORDS` records."""
    # One record more than the limit is read: whether it exists is what "at least" says, without a count of all.
    found = list(itertools.islice(records_of_subjects([subject.pk]), MAX_RECORDS + 1))
    records = found[:MAX_RECORDS]
    page = reverse("provenance:subject", args=[subject.uid])
    return ReachPreview(
        reached=[
            Reached("consent records", subject.consents.count(), page),
            Reached("provenance records", len(records), page),
            *(
                Reached(name, count, LISTS[name](subject.uid))
                for name, count in (snapshots_count(records) | runs_count(records)).items()
            ),
        ],
        at_least=len(found) > MAX_RECORDS,
    )


def snapshots_count(record_ids: list[int]) -> dict[str, int]:
    """How many tasks, snapshots and rows of frozen snapshots hold these records. Two queries."""
    # Only frozen snapshots count, because one that is still being built leaves the person out by itself.
    found = SnapshotRow.objects.filter(record_id__in=record_ids, snapshot__frozen_at__isnull=False).aggregate(
        snapshots=Count("snapshot", distinct=True), rows=Count("pk")
    )
    tasks = Task.objects.filter(example__provenance_id__in=record_ids).count()
    return {"tasks": tasks, "snapshots": found["snapshots"], "snapshot rows": found["rows"]}


def runs_count(record_ids: list[int]) -> dict[str, int]:
    """How many runs and models were trained on snapshots that hold these records. Two queries."""
    snapshots = SnapshotRow.objects.filter(record_id__in=record_ids).order_by().values("snapshot")
    return {
        "runs": TrainingRun.objects.filter(snapshot__in=snapshots).count(),
        "models": ModelVersion.objects.filter(run__snapshot__in=snapshots).count(),
    }


LISTS: dict[str, Callable[[UUID], str]] = {
    "tasks": lambda uid: reverse("dashboard:subject_reach", args=[uid, "tasks"]),
    "snapshots": lambda uid: f"{reverse('datasets:snapshots')}?subject={uid}",
    "snapshot rows": lambda uid: reverse("dashboard:subject_reach", args=[uid, "snapshot rows"]),
    "runs": lambda uid: f"{reverse('runs:runs')}?subject={uid}",
    "models": lambda uid: f"{reverse('runs:models')}?subject={uid}",
}
"""Where one person's things of each kind are listed."""


def tasks_holding(subject: UUID) -> QuerySet[Task]:
    """Tasks about one person's conversations."""
    return Task.objects.filter(example__provenance__subjects__uid=subject).select_related("project", "example")


def rows_holding(subject: UUID) -> QuerySet[SnapshotRow]:
    """Rows of frozen snapshots made of one person's conversations."""
    rows = SnapshotRow.objects.filter(record__subjects__uid=subject, snapshot__frozen_at__isnull=False)
    return rows.select_related("snapshot", "example")


def task_shown(task: Task) -> tuple[str, str, str]:
    """A task in a list: title, what else to say, address."""
    example = task.example
    url = reverse("dashboard:lineage", args=[example.uid])
    return example.external_id, f"{task.project.name}, {task.get_state_display()}", url


def row_shown(row: SnapshotRow) -> tuple[str, str, str]:
    """A snapshot's row in a list: title, what else to say, address."""
    return (
        f"Leaf {row.leaf_index} of {row.snapshot.name}", f"{row.split}, {row.example.external_id}",
        reverse("datasets:snapshot_rows", args=[row.snapshot.uid]) + f"?split={row.split}",
    )


ROWS: dict[str, tuple[Callable[[UUID], QuerySet[Any]], Callable[[Any], tuple[str, str, str]]]] = {
    "tasks": (tasks_holding, task_shown), "snapshot rows": (rows_holding, row_shown),
}
"""Kinds that no other page lists by person: the rows, and how each is shown."""


def example_address(record_uid: UUID) -> str:
    """The page of the example made of a provenance record; "" without one."""
    # This lookup is in the dashboard, because provenance is below capture and must not import it.
    uid = Example.objects.filter(provenance__uid=record_uid).values_list("uid", flat=True).first()
    return reverse("dashboard:lineage", args=[uid]) if uid else ""
