"""Giving work to people: the next task, and leases from their start to their end.

A lease is an Assignment that is active. `task_next` looks in four places, each one look into an index: what a
reviewer sent back to this person, what this person holds, what others handed back, and the oldest task not looked at.
Two cursors per membership remember how far a search has come, so that neither the tasks other people hold nor the
tasks this person has done are read again: the cost does not depend on the number of tasks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from annotation.access import access_assignment, access_membership
from annotation.domain import routing, states
from annotation.models import Assignment, Membership, Project, Task
from annotation.services.locking import lease_end, task_advance, task_locked
from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.core.actors import SYSTEM
from flywheel.core.errors import Conflict
from flywheel.core.models import User

COMMIT_SLACK = timedelta(seconds=60)
"""Moments of hand-backs are written before they are visible; the cursor over them stays this far behind."""


def task_next(*, project: Project, user: User) -> Assignment | None:
    """The assignment this person should work on now, leased to them, or None when there is nothing for them.

    `assignment.why` says why, and `assignment.task` is loaded. Asking again gives the same assignment until it is
    answered, skipped or left. Raises Forbidden to people who may not annotate here, Conflict when the project is
    paused.
    """
    membership = _membership(project, user)
    return _held_work_resume(project, user) or _task_lease_new(project, user, membership, None)


def task_peek(*, project: Project, user: User, current_id: int | None = None) -> Assignment | None:
    """The assignment after `current_id`, leased ahead so that the page can show it at once.

    At most one new lease is taken ahead of the one being worked on; without a current one this is `task_next`.
    """
    membership = _membership(project, user)
    held = _held_work_resume(project, user, other_than=current_id)
    return held or _task_lease_new(project, user, membership, current_id)


def _membership(project: Project, user: User) -> Membership:
    membership = access_membership(user, project, "task.annotate")
    _not_paused(project)
    return membership


def _not_paused(project: Project) -> None:
    if project.archived_at is not None:
        raise Conflict(f"'{project.name}' is paused; its lead can resume it", code="paused")


def _held_work_resume(project: Project, user: User, *, other_than: int | None = None) -> Assignment | None:
    """Work that is already this person's: returned by a reviewer first, then leases, oldest task first."""
    # The ids are read without locks, so each may be lost to a sweep before its task is locked; the next one is tried
    # then.
    for pk, status, task_id in _held_ids(project, user, other_than):
        returned = status == Assignment.Status.RETURNED
        found = _assignment_resume(user, pk, task_id, routing.OWN_RETURNED if returned else routing.OWN_ACTIVE)
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
def _assignment_resume(user: User, assignment_id: int, task_id: int, why: str) -> Assignment | None:
    """Renew a hold on a place that is this person's already; None when it was lost meanwhile."""
    # The task first, as everywhere: the lock order of `locking` keeps this from deadlocking with a sweep.
    task_locked(task_id)
    assignment = Assignment.objects.select_related("task", "project", "task__example").get(pk=assignment_id)
    if assignment.status not in (Assignment.Status.RETURNED, Assignment.Status.ACTIVE):
        return None
    returned = assignment.status == Assignment.Status.RETURNED
    _lease_start(assignment, why)
    # Only a return is written to the ledger: renewing a lease that is held happens with every page, and the ledger's
    # head is one lock for the whole installation.
    if returned:
        ledger_append(
            actor=user, action=Action.TASK_LEASE, object=f"task:{task_id}",
            touched={"task": [assignment.task_id]},
            payload={"assignment": assignment.pk, "why": why},
        )
    return assignment


def _lease_start(assignment: Assignment, why: str) -> None:
    now = timezone.now()
    assignment.status = Assignment.Status.ACTIVE
    assignment.leased_at, assignment.expires_at = now, lease_end(assignment.project, now)
    assignment.why = why
    assignment.save(update_fields=["status", "leased_at", "expires_at"])


def _task_lease_new(project: Project, user: User, membership: Membership, current_id: int | None) -> Assignment | None:
    """Lease the oldest task with a free place. Expired leases are freed first when nothing else is left."""
    found = _task_search(project, user, membership, current_id)
    if found is None and leases_sweep(project=project, limit=50):
        # Other people's expired leases are only looked for when there is no other work, because freeing them locks
        # tasks.
        found = _task_search(project, user, membership, current_id)
    return found


def _task_search(project: Project, user: User, membership: Membership, current_id: int | None) -> Assignment | None:
    # Another person may take the very task found; each try then looks again. Usually another task is free, so the
    # first look does not wait for locks; the next one does, since the last task may be shared.
    # Bounded, so that a request ends also when very many people compete for the last tasks; the page then says that
    # nothing is left.
    for attempt in range(60):
        found, contended = _task_lease_try(project, user, membership, current_id, wait=attempt % 2 == 1)
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
def _task_lease_try(
    project: Project, user: User, membership: Membership, current_id: int | None, *, wait: bool
) -> tuple[Assignment | None, bool]:
    # One person's requests queue here, so that two windows do not take two tasks.
    membership = Membership.objects.select_for_update().get(pk=membership.pk)
    if held := _held_ids(project, user, current_id):
        return _assignment_resume(user, held[0][0], held[0][2], routing.OWN_ACTIVE), True
    contended = False
    for place in _places(project, user, membership):
        ids = place.tasks.order_by(*place.order)
        # Read without a lock first: the cursor may only move up to a task that is committed and free, also if another
        # transaction has it locked.
        first = ids.values_list("pk", "returned_at").first()
        _cursor_advance(membership, place, first)
        if first is None:
            continue
        # A waiting transaction holds no other task and waits for one row only, so waiting never deadlocks.
        task = (
            ids.filter(pk=first[0]).select_for_update(of=("self",)).first() if wait
            else ids.select_for_update(skip_locked=True, of=("self",)).first()
        )
        if task is not None:
            return _task_assign(task, project, user, handed_back=place.handed_back), False
        if wait:
            return None, True
        # Locked by another transaction, which may still roll back, so the search is repeated before it says that
        # nothing is left.
        contended = True
    return None, contended


def _places(project: Project, user: User, membership: Membership) -> list[_Place]:
    # One's own expired lease may be taken up again; everything else of one's own is done with.
    mine = Assignment.objects.filter(task_id=OuterRef("pk"), user=user).exclude(status=Assignment.Status.EXPIRED)
    # `available` is a column with a partial index. The same condition on the counters would read every open task of the
    # project.
    free = Task.objects.filter(project=project, available=True).filter(~Exists(mine))
    back = free.filter(returned_at__isnull=False)
    if membership.returned_cursor is not None:
        back = back.filter(returned_at__gt=membership.returned_cursor)
    return [
        _Place(back, ("returned_at", "pk"), handed_back=True),
        _Place(free.filter(pk__gt=membership.cursor), ("pk",), handed_back=False),
    ]


def _cursor_advance(membership: Membership, place: _Place, first: tuple[int, datetime | None] | None) -> None:
    """Remember how far the search has come: all before the first task found cannot be given to this person.

    The first task found stays ahead of the cursor, even if another gets it: with several places it may be free again.
    """
    if place.handed_back:
        _returned_cursor_advance(membership, first)
    elif first is not None and first[0] - 1 > membership.cursor:
        # The condition keeps the cursor from moving back, whatever the instance in memory says.
        Membership.objects.filter(pk=membership.pk, cursor__lt=first[0] - 1).update(cursor=first[0] - 1)
        membership.cursor = first[0] - 1


def _returned_cursor_advance(membership: Membership, first: tuple[int, datetime | None] | None) -> None:
    limit = timezone.now() - COMMIT_SLACK
    # Hand-backs get their moment before they commit. A cursor at the newest one would pass over another that was
    # written earlier and commits later.
    seen = limit if first is None or first[1] is None else min(limit, first[1] - timedelta(microseconds=1))
    # Moved in steps of a minute at least, because each move is a write and every request for a task comes through here.
    if membership.returned_cursor is None or seen > membership.returned_cursor + COMMIT_SLACK:
        Membership.objects.filter(pk=membership.pk).update(returned_cursor=seen)
        membership.returned_cursor = seen


def _task_assign(task: Task, project: Project, user: User, *, handed_back: bool) -> Assignment:
    """Take a place on a locked task."""
    why = routing.why_of(handed_back=handed_back, overlap=task.overlap, taken_by_others=task.slots_taken)
    task_advance(task, states.take)
    now = timezone.now()
    # A person who had the task before gets the same row again, with its draft: one row per task and person is a
    # constraint.
    assignment = Assignment.objects.filter(task=task, user=user).first()
    if assignment is None:
        assignment = Assignment.objects.create(
            task=task, user=user, project=project, leased_at=now, expires_at=lease_end(project, now)
        )
    assignment.task, assignment.project, assignment.why = task, project, why
    if assignment.status != Assignment.Status.ACTIVE:
        _lease_start(assignment, why)
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
    # Being its owner is not enough: who left the project keeps the row and may not work on it.
    _membership(assignment.project, user)
    task = task_locked(assignment.task_id)
    # Read again under the task's lock, because a sweep or a second window may have changed it since.
    assignment = access_assignment(user, assignment_id)
    if assignment.status == Assignment.Status.SUBMITTED:
        raise Conflict(f"you have answered task {task.pk}; undo the answer to change it")
    held = assignment.status in states.HOLDING
    if not held:
        lease_reacquire(task, assignment)
    _lease_start(assignment, routing.OPENED if not held else routing.OWN_ACTIVE)
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


def lease_reacquire(task: Task, assignment: Assignment) -> None:
    """Take a place again on a locked task for an assignment that had lost it. Raises Conflict when none is free."""
    # Before the check of free places, because these states have none and the message would name the wrong reason.
    if task.state in _NOT_NOW:
        raise Conflict(f"task {task.pk} {_NOT_NOW[task.state]}; go on with the next task", code=task.state)
    if not task.available:
        raise Conflict(
            f"your lease on task {task.pk} ran out at {assignment.expires_at:%H:%M} UTC and its place was taken by "
            "another annotator; what you wrote is kept as a draft, go on with the next task",
            code="lease_lost",
        )
    task_advance(task, states.take)


@transaction.atomic
def lease_renew(*, assignment_id: int, user: User) -> Assignment:
    """Activity: this and the other leases this person holds in the project last on. Takes a lost place again if free.

    Raises NotFound, Forbidden to who may no longer annotate here, and Conflict when the place is taken, the task was
    answered, or the project is paused and the place must be taken anew.
    """
    assignment = access_assignment(user, assignment_id)
    access_membership(user, assignment.project, "task.annotate")
    # The usual case needs no lock on the task, and so does not wait for a person who is just submitting.
    if assignment.status == Assignment.Status.ACTIVE:
        # A sweep may end the lease meanwhile, so the state is asked again by the update itself.
        if _leases_renew(assignment):
            return assignment
        assignment = access_assignment(user, assignment_id)
    task = task_locked(assignment.task_id)
    assignment = access_assignment(user, assignment_id)
    if assignment.status == Assignment.Status.SUBMITTED:
        raise Conflict(f"you have answered task {task.pk}", code="answered")
    if assignment.status not in states.HOLDING:
        _not_paused(assignment.project)
        lease_reacquire(task, assignment)
    _lease_start(assignment, routing.OWN_ACTIVE)
    ledger_append(
        actor=user, action=Action.TASK_LEASE, object=f"task:{task.pk}",
        touched={"task": [assignment.task_id]},
        payload={"assignment": assignment.pk, "why": routing.OWN_ACTIVE},
    )
    return assignment


def _leases_renew(assignment: Assignment) -> bool:
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
    # The browser's time of the lease has milliseconds only, and PostgreSQL's has microseconds.
    if leased_at is not None and abs(assignment.leased_at - leased_at) > timedelta(milliseconds=2):
        return False
    task_advance(task, states.give_back, returned_at=timezone.now())
    Assignment.objects.filter(pk=assignment.pk).update(status=Assignment.Status.EXPIRED, expires_at=timezone.now())
    ledger_append(
        actor=user, action=Action.TASK_RELEASE, object=f"task:{task.pk}",
        touched={"task": [assignment.task_id]},
        payload={"assignment": assignment.pk},
    )
    return True


def leases_sweep(*, project: Project | None = None, limit: int = 500) -> int:
    """Free the places of leases that ran out, and of returned work its author did not take up in time.

    Returns how many places were freed. Drafts stay with their assignment.
    """
    now = timezone.now()
    ended = Assignment.objects.filter(
        status__in=[Assignment.Status.ACTIVE, Assignment.Status.RETURNED], expires_at__lte=now
    )
    if project is not None:
        ended = ended.filter(project=project)
    due = list(ended.order_by("expires_at").values_list("pk", "task_id")[:limit])
    freed = 0
    # Small transactions, because each holds its tasks' locks and the ledger's head until it ends.
    for start in range(0, len(due), 50):
        freed += _leases_end(due[start : start + 50])
    return freed


@transaction.atomic
def _leases_end(due: list[tuple[int, int]]) -> int:
    freed: list[dict[str, int]] = []
    # Locked rows wait for the next sweep, because a sweep that never waits cannot be part of a deadlock.
    for pk, task_id in sorted(due, key=lambda row: row[1]):
        task = Task.objects.select_for_update(of=("self",), skip_locked=True).filter(pk=task_id).first()
        now = timezone.now()
        # Asked again under the lock: the person may have renewed the lease since it was listed.
        ended = task and Assignment.objects.select_for_update(of=("self",), skip_locked=True).filter(
            pk=pk, status__in=[Assignment.Status.ACTIVE, Assignment.Status.RETURNED], expires_at__lte=now
        ).first()
        if task and ended:
            Assignment.objects.filter(pk=pk).update(status=Assignment.Status.EXPIRED)
            # One row out of step must not keep the sweep from all the others.
            if task.slots_taken > task.submitted_count:
                task_advance(task, states.give_back, returned_at=now)
            freed.append({"assignment": pk, "task": task_id})
    if freed:
        ledger_append(
            actor=SYSTEM, action=Action.LEASE_EXPIRE, object="leases",
            touched={"task": [row["task"] for row in freed]},
            payload={"ended": freed},
        )
    return len(freed)
