"""Giving work to people: the next task, leases, drafts.

A lease is an Assignment that is active. `task_next` looks in four places, each one look into an index: what a
reviewer sent back to this person, what this person holds, what others handed back, and the oldest task not looked at.
Two cursors per membership remember how far a search has come, so that neither the tasks other people hold nor the
tasks this person has done are read again: the cost does not depend on the number of tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from annotation.access import access_assignment, access_membership
from annotation.domain import routing, states
from annotation.models import Assignment, Membership, Project, Task
from annotation.services.locking import lease_end, step, task_locked
from annotation.services.tasks import leases_sweep
from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.core.errors import Conflict, UserError, ValidationFailed
from flywheel.core.json_values import plain_json
from flywheel.core.models import User

MAX_DRAFT_ITEMS = 1_000
COMMIT_SLACK = timedelta(seconds=60)
"""Moments of hand-backs are written before they are visible; the cursor over them stays this far behind."""


def task_next(*, project: Project, user: User) -> Assignment | None:
    """The assignment this person should work on now, leased to them, or None when there is nothing for them.

    `assignment.why` says why, and `assignment.task` is loaded. Asking again gives the same assignment until it is
    answered, skipped or left. Raises Forbidden to people who may not annotate here, Conflict when the project is
    paused.
    """
    membership = _membership(project, user)
    return _held(project, user) or _new(project, user, membership, None)


def task_peek(*, project: Project, user: User, current_id: int | None = None) -> Assignment | None:
    """The assignment after `current_id`, leased ahead so that the page can show it at once.

    At most one new lease is taken ahead of the one being worked on; without a current one this is `task_next`.
    """
    membership = _membership(project, user)
    return _held(project, user, other_than=current_id) or _new(project, user, membership, current_id)


def _membership(project: Project, user: User) -> Membership:
    membership = access_membership(user, project, "task.annotate")
    _not_paused(project)
    return membership


def _not_paused(project: Project) -> None:
    if project.archived_at is not None:
        raise Conflict(f"'{project.name}' is paused; its lead can resume it", code="paused")


def _held(project: Project, user: User, *, other_than: int | None = None) -> Assignment | None:
    """Work that is already this person's: returned by a reviewer first, then leases, oldest task first."""
    for pk, status, task_id in _held_ids(project, user, other_than):
        returned = status == Assignment.Status.RETURNED
        found = _take_up(user, pk, task_id, routing.OWN_RETURNED if returned else routing.OWN_ACTIVE)
        if found is not None:
            return found
    return None


def _held_ids(project: Project, user: User, other_than: int | None) -> list[tuple[int, str, int]]:
    mine = Assignment.objects.filter(
        user=user, project=project, status__in=[Assignment.Status.RETURNED, Assignment.Status.ACTIVE]
    )
    held = list(mine.exclude(pk=other_than or 0).order_by("task_id").values_list("pk", "status", "task_id")[:20])
    return sorted(held, key=lambda row: row[1] != Assignment.Status.RETURNED)


@transaction.atomic
def _take_up(user: User, assignment_id: int, task_id: int, why: str) -> Assignment | None:
    """Renew a hold on a place that is this person's already; None when it was lost meanwhile."""
    task_locked(task_id)
    assignment = Assignment.objects.select_related("task", "project", "task__example").get(pk=assignment_id)
    if assignment.status not in (Assignment.Status.RETURNED, Assignment.Status.ACTIVE):
        return None
    returned = assignment.status == Assignment.Status.RETURNED
    _lease(assignment, why)
    if returned:
        ledger_append(
            actor=user, action=Action.TASK_LEASE, object=f"task:{task_id}",
            touched={"task": [assignment.task_id]},
            payload={"assignment": assignment.pk, "why": why},
        )
    return assignment


def _lease(assignment: Assignment, why: str) -> None:
    now = timezone.now()
    assignment.status = Assignment.Status.ACTIVE
    assignment.leased_at, assignment.expires_at = now, lease_end(assignment.project, now)
    assignment.why = why
    assignment.save(update_fields=["status", "leased_at", "expires_at"])


def _new(project: Project, user: User, membership: Membership, current_id: int | None) -> Assignment | None:
    """Lease the oldest task with a free place. Expired leases are freed first when nothing else is left."""
    found = _search(project, user, membership, current_id)
    if found is None and leases_sweep(project=project, limit=50):
        found = _search(project, user, membership, current_id)
    return found


def _search(project: Project, user: User, membership: Membership, current_id: int | None) -> Assignment | None:
    # Another person may take the very task found; each try then looks again. Usually another task is free, so the
    # first look does not wait for locks; the next one does, since the last task may be shared.
    for attempt in range(60):
        found, contended = _try(project, user, membership, current_id, wait=attempt % 2 == 1)
        if found is not None or not contended:
            return found
    return None


@dataclass(frozen=True, slots=True)
class _Place:
    """A place to look: the tasks in it, their order, and whether they were handed back."""

    tasks: QuerySet[Task]
    order: tuple[str, ...]
    handed_back: bool


@transaction.atomic
def _try(
    project: Project, user: User, membership: Membership, current_id: int | None, *, wait: bool
) -> tuple[Assignment | None, bool]:
    # One person's requests queue here, so that two windows do not take two tasks.
    membership = Membership.objects.select_for_update().get(pk=membership.pk)
    if held := _held_ids(project, user, current_id):
        return _take_up(user, held[0][0], held[0][2], routing.OWN_ACTIVE), True
    contended = False
    for place in _places(project, user, membership):
        ids = place.tasks.order_by(*place.order)
        first = ids.values_list("pk", "returned_at").first()
        _advance(membership, place, first)
        if first is None:
            continue
        # A waiting transaction holds no other task and waits for one row only, so waiting never deadlocks.
        task = (
            ids.filter(pk=first[0]).select_for_update(of=("self",)).first() if wait
            else ids.select_for_update(skip_locked=True, of=("self",)).first()
        )
        if task is not None:
            return _assign(task, project, user, handed_back=place.handed_back), False
        if wait:
            return None, True
        contended = True
    return None, contended


def _places(project: Project, user: User, membership: Membership) -> list[_Place]:
    # One's own expired lease may be taken up again; everything else of one's own is done with.
    mine = Assignment.objects.filter(task_id=OuterRef("pk"), user=user).exclude(status=Assignment.Status.EXPIRED)
    free = Task.objects.filter(project=project, available=True).filter(~Exists(mine))
    back = free.filter(returned_at__isnull=False)
    if membership.returned_cursor is not None:
        back = back.filter(returned_at__gt=membership.returned_cursor)
    return [
        _Place(back, ("returned_at", "pk"), handed_back=True),
        _Place(free.filter(pk__gt=membership.cursor), ("pk",), handed_back=False),
    ]


def _advance(membership: Membership, place: _Place, first: tuple[int, datetime | None] | None) -> None:
    """Remember how far the search has come: all before the first task found cannot be given to this person.

    The first task found stays ahead of the cursor, even if another gets it: with several places it may be free again.
    """
    if place.handed_back:
        _advance_returned(membership, first)
    elif first is not None and first[0] - 1 > membership.cursor:
        Membership.objects.filter(pk=membership.pk, cursor__lt=first[0] - 1).update(cursor=first[0] - 1)
        membership.cursor = first[0] - 1


def _advance_returned(membership: Membership, first: tuple[int, datetime | None] | None) -> None:
    limit = timezone.now() - COMMIT_SLACK
    seen = limit if first is None or first[1] is None else min(limit, first[1] - timedelta(microseconds=1))
    if membership.returned_cursor is None or seen > membership.returned_cursor + COMMIT_SLACK:
        Membership.objects.filter(pk=membership.pk).update(returned_cursor=seen)
        membership.returned_cursor = seen


def _assign(task: Task, project: Project, user: User, *, handed_back: bool) -> Assignment:
    """Take a place on a locked task."""
    why = routing.why_of(handed_back=handed_back, overlap=task.overlap, taken_by_others=task.slots_taken)
    step(task, states.take)
    now = timezone.now()
    assignment = Assignment.objects.filter(task=task, user=user).first()
    if assignment is None:
        assignment = Assignment.objects.create(
            task=task, user=user, project=project, leased_at=now, expires_at=lease_end(project, now)
        )
    assignment.task, assignment.project, assignment.why = task, project, why
    if assignment.status != Assignment.Status.ACTIVE:
        _lease(assignment, why)
    ledger_append(
        actor=user, action=Action.TASK_LEASE, object=f"task:{task.pk}",
        touched={"task": [assignment.task_id]},
        payload={"assignment": assignment.pk, "example": task.example_id, "why": why},
    )
    return assignment


@transaction.atomic
def assignment_open(*, user: User, assignment_id: int) -> Assignment:
    """Take one's own earlier assignment up again: held, sent back, expired or skipped, if a place is free.

    Raises NotFound, and Conflict when it was answered or its place is taken.
    """
    assignment = access_assignment(user, assignment_id)
    _membership(assignment.project, user)
    task = task_locked(assignment.task_id)
    assignment = access_assignment(user, assignment_id)
    if assignment.status == Assignment.Status.SUBMITTED:
        raise Conflict(f"you have answered task {task.pk}; undo the answer to change it")
    held = assignment.status in states.HOLDING
    if not held:
        regain(task, assignment)
    _lease(assignment, routing.OPENED if not held else routing.OWN_ACTIVE)
    if not held:
        ledger_append(
            actor=user, action=Action.TASK_LEASE, object=f"task:{task.pk}",
            touched={"task": [assignment.task_id]},
            payload={"assignment": assignment.pk, "why": routing.OPENED},
        )
    return assignment


_NOT_NOW: dict[str, str] = {
    Task.State.WITHDRAWN: "was withdrawn, so that its data may not be used",
    Task.State.FLAGGED: "is flagged and waits for a lead's decision; what you wrote is kept as a draft",
    Task.State.CLOSED: "was closed after a flag; what you wrote is kept as a draft",
}
"""Why no one can be assigned a task in this state."""


def regain(task: Task, assignment: Assignment) -> None:
    """Take a place again on a locked task for an assignment that had lost it. Raises Conflict when none is free."""
    if task.state in _NOT_NOW:
        raise Conflict(f"task {task.pk} {_NOT_NOW[task.state]}; go on with the next task", code=task.state)
    if not task.available:
        raise Conflict(
            f"your lease on task {task.pk} ran out at {assignment.expires_at:%H:%M} UTC and its place was taken by "
            "another annotator; what you wrote is kept as a draft, go on with the next task",
            code="lease_lost",
        )
    step(task, states.take)


@transaction.atomic
def lease_renew(*, assignment_id: int, user: User) -> Assignment:
    """Activity: this and the other leases this person holds in the project last on. Takes a lost place again if free.

    Raises NotFound, Forbidden to who may no longer annotate here, and Conflict when the place is taken, the task was
    answered, or the project is paused and the place must be taken anew.
    """
    assignment = access_assignment(user, assignment_id)
    access_membership(user, assignment.project, "task.annotate")
    if assignment.status == Assignment.Status.ACTIVE:
        # A sweep may end the lease meanwhile, so the state is asked again by the update itself.
        if _renew(assignment):
            return assignment
        assignment = access_assignment(user, assignment_id)
    task = task_locked(assignment.task_id)
    assignment = access_assignment(user, assignment_id)
    if assignment.status == Assignment.Status.SUBMITTED:
        raise Conflict(f"you have answered task {task.pk}", code="answered")
    if assignment.status not in states.HOLDING:
        _not_paused(assignment.project)
        regain(task, assignment)
    _lease(assignment, routing.OWN_ACTIVE)
    ledger_append(
        actor=user, action=Action.TASK_LEASE, object=f"task:{task.pk}",
        touched={"task": [assignment.task_id]},
        payload={"assignment": assignment.pk, "why": routing.OWN_ACTIVE},
    )
    return assignment


def _renew(assignment: Assignment) -> bool:
    end = lease_end(assignment.project, timezone.now())
    held = Assignment.objects.filter(
        user_id=assignment.user_id, project_id=assignment.project_id, status=Assignment.Status.ACTIVE
    )
    # Locked in one order, since two windows of one person renew at the same moment.
    ids = list(held.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True)[:50])
    if assignment.pk not in ids:
        return False
    Assignment.objects.filter(pk__in=ids).update(expires_at=end)
    assignment.expires_at = end
    return True


@transaction.atomic
def lease_release(*, assignment_id: int, user: User, leased_at: datetime | None = None) -> bool:
    """Give the place back on leaving the page. Returns whether it was given back.

    A task with a draft is kept until its lease runs out, so that closing a window by accident costs nothing. With
    `leased_at`, only that very lease is given back: a page that was loaded again since has a later one.
    """
    assignment = access_assignment(user, assignment_id)
    task = task_locked(assignment.task_id)
    assignment = access_assignment(user, assignment_id)
    if assignment.status != Assignment.Status.ACTIVE or assignment.draft_saved_at is not None:
        return False
    if leased_at is not None and abs(assignment.leased_at - leased_at) > timedelta(milliseconds=2):
        return False
    step(task, states.give_back, returned_at=timezone.now())
    Assignment.objects.filter(pk=assignment.pk).update(status=Assignment.Status.EXPIRED, expires_at=timezone.now())
    ledger_append(
        actor=user, action=Action.TASK_RELEASE, object=f"task:{task.pk}",
        touched={"task": [assignment.task_id]},
        payload={"assignment": assignment.pk},
    )
    return True


@dataclass(frozen=True, slots=True)
class DraftSaved:
    """What became of a draft. `saved` is False for an older version than the stored one; `held` tells the lease."""

    saved: bool
    version: int
    saved_at: datetime | None
    held: bool
    expires_at: datetime
    message: str = ""


def draft_save(*, assignment: Assignment | int, user: User, draft: Any, version: int) -> DraftSaved:
    """Keep what was typed so far. An older version never overwrites a newer one. Saving renews the lease.

    A lost lease does not lose the draft: it is stored, and `held` is False with a message when the place is taken, or
    when the person may no longer annotate here.
    Drafts are not ledgered: they change no task. Raises NotFound, ValidationFailed, and Conflict once answered or
    withdrawn.
    """
    pk = assignment if isinstance(assignment, int) else assignment.pk
    if not isinstance(draft, list) or len(draft) > MAX_DRAFT_ITEMS:
        raise ValidationFailed(f"a draft is a result list of at most {MAX_DRAFT_ITEMS} items", field="draft")
    row = access_assignment(user, pk)
    if row.task.state == Task.State.WITHDRAWN:
        raise Conflict(f"task {row.task_id} was withdrawn; its draft is not kept", code="withdrawn")
    if row.status == Assignment.Status.SUBMITTED:
        raise Conflict(f"you have answered task {row.task_id}; undo the answer to change it", code="answered")
    saved = _draft_store(row, draft, version)
    held, message = True, ""
    try:
        row = lease_renew(assignment_id=pk, user=user)
    except UserError as error:
        held, message = False, error.message
    stored = Assignment.objects.values_list("draft_version", "draft_saved_at", "expires_at").get(pk=pk)
    return DraftSaved(saved=saved, version=stored[0], saved_at=stored[1], held=held, expires_at=stored[2],
                      message=message)


def _draft_store(row: Assignment, draft: list[Any], version: int) -> bool:
    stored = Assignment.objects.filter(pk=row.pk, draft_version__lt=version).exclude(
        status=Assignment.Status.SUBMITTED
    ).exclude(task__state__in=[Task.State.SETTLED, Task.State.WITHDRAWN])
    return bool(stored.update(draft=plain_json(draft), draft_version=version, draft_saved_at=timezone.now()))
