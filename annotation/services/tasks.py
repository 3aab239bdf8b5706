"""Tasks as a stock: made from new examples, freed when leases run out, withdrawn when consent is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from annotation.domain import states
from annotation.models import Annotation, Assignment, Flag, Project, Task
from annotation.services.locking import task_advance, task_locked
from annotation.services.suggestions import agent_suggestions_ensure
from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.capture.models import Example
from flywheel.core.actors import SYSTEM, Actor

LOOK_BACK = 2_000
"""Examples get their number before they are visible, so the last ones are looked at again on each round."""

RECONCILE_CHUNK = 5_000


def tasks_make(*, project: Project, limit: int = 1000) -> int:
    """Make tasks of new examples of the project's sources, oldest first, at most `limit`. Returns how many.

    Only active examples without an earlier duplicate become tasks, each once per project. Safe to call at any time and
    from
    several processes: the project's row is locked, so that tasks become visible in the order of their numbers.
    """
    with transaction.atomic():
        locked = Project.objects.select_for_update(of=("self",)).get(pk=project.pk)
        project.last_example_id = locked.last_example_id
        if locked.archived_at is not None:
            return 0
        fresh = _unmade(locked).filter(pk__gt=locked.last_example_id - LOOK_BACK)
        found = list(fresh.order_by("pk").values_list("pk", flat=True)[:limit])
        return _tasks_create(locked, project, found)


def tasks_reconcile(*, project: Project) -> int:
    """Look at every example of the project's sources again, in bounded steps: for those that became eligible late,
    such as a duplicate whose original was withdrawn. Returns how many tasks were made."""
    made, after = 0, 0
    while True:
        with transaction.atomic():
            locked = Project.objects.select_for_update(of=("self",)).get(pk=project.pk)
            if locked.archived_at is not None:
                return made
            window = list(
                # A window of keys and not the unmade ones alone, because the query for those would read all examples
                # when there are none.
                Example.objects.filter(source__in=locked.sources.all(), pk__gt=after)
                .order_by("pk").values_list("pk", flat=True)[:RECONCILE_CHUNK]
            )
            if not window:
                return made
            found = list(
                _unmade(locked).filter(pk__gt=after, pk__lte=window[-1]).order_by("pk").values_list("pk", flat=True)
            )
            made += _tasks_create(locked, project, found)
            after = window[-1]


def _unmade(project: Project) -> QuerySet[Example]:
    """Examples that should have a task in the project and have none."""
    return Example.objects.filter(
        ~Exists(Task.objects.filter(project=project, example=OuterRef("pk"))),
        source__in=list(project.sources.values_list("pk", flat=True)),
        status=Example.Status.ACTIVE, duplicate_of=None,
    )


def _tasks_create(locked: Project, project: Project, example_ids: list[int]) -> int:
    if not example_ids:
        return 0
    Task.objects.bulk_create(
        [Task(project=locked, example_id=pk, overlap=locked.overlap) for pk in example_ids], batch_size=1000
    )
    agent_suggestions_ensure(example_ids=example_ids)
    project.last_example_id = max(locked.last_example_id, example_ids[-1])
    Project.objects.filter(pk=locked.pk).update(last_example_id=project.last_example_id)
    # One entry for the whole batch: the ledger's head is locked once and not once per task.
    ledger_append(
        actor=SYSTEM, action=Action.TASK_MAKE, object=f"project:{locked.pk}",
        touched={"project": [locked.pk], "example": example_ids},
        payload={"examples": example_ids, "overlap": locked.overlap},
    )
    return len(example_ids)


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What a withdrawal reached: all tasks of the records, and how many were changed this time."""

    task_ids: list[int]
    annotation_ids: list[int]
    changed: int

    def receipt(self) -> dict[str, Any]:
        """As a withdrawal's receipt has it."""
        return {"tasks": self.task_ids, "annotations": self.annotation_ids}


def tasks_withdraw(*, record_ids: Iterable[int], actor: Actor = SYSTEM) -> Withdrawn:
    """Withdraw the tasks of these provenance records' examples: leases end, drafts are cleared, none is settled.

    Works in steps of 200 tasks and changes nothing the second time, so it may be killed and repeated.
    """
    records = list(record_ids)
    changed = 0
    while True:
        # Listed anew for each step, because tasks may be made meanwhile; the walk ends when none is left.
        todo = list(
            Task.objects.filter(example__provenance_id__in=records).exclude(state=Task.State.WITHDRAWN)
            .order_by("pk").values_list("pk", flat=True)[:200]
        )
        if not todo:
            break
        changed += _tasks_mark_withdrawn(todo, actor)
    # The receipt names all of them, also those that an earlier, interrupted walk withdrew.
    reached = list(
        Task.objects.filter(example__provenance_id__in=records).order_by("pk").values_list("pk", flat=True)
    )
    answers = Annotation.objects.filter(task_id__in=reached).order_by("pk").values_list("pk", flat=True)
    return Withdrawn(task_ids=reached, annotation_ids=list(answers), changed=changed)


@transaction.atomic
def _tasks_mark_withdrawn(task_ids: list[int], actor: Actor) -> int:
    withdrawn = []
    # Tasks were listed by number and are locked in that order, so that two walks cannot deadlock.
    for task_id in task_ids:
        task = task_locked(task_id)
        if task.state == Task.State.WITHDRAWN:
            continue
        held = Assignment.objects.filter(task=task)
        held.filter(status__in=[Assignment.Status.ACTIVE, Assignment.Status.RETURNED]).update(
            status=Assignment.Status.EXPIRED
        )
        # Drafts quote the conversation, so they are personal data of the person who withdrew.
        held.update(draft=[], draft_saved_at=None)
        task_advance(task, states.withdraw)
        withdrawn.append(task_id)
    if withdrawn:
        # Nothing is left to decide about them.
        Flag.objects.filter(task_id__in=withdrawn, state=Flag.State.OPEN).update(
            state=Flag.State.WITHDRAWN, resolved_at=timezone.now()
        )
        ledger_append(
            actor=actor, action=Action.TASK_WITHDRAW, object="tasks",
            touched={"task": withdrawn},
            payload={"tasks": withdrawn},
        )
    return len(withdrawn)
