"""What the services share: locking a task, and keeping its row in step with the pure state machine.

Lock order, always: task, then assignment, then annotation, then the ledger's head.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from annotation.domain import states
from annotation.domain.states import Slots
from annotation.models import Project, Task
from flywheel.core.errors import Conflict, NotFound

RETURN_HOLD = timedelta(hours=24)
"""How long work sent back by a reviewer is kept for its author before others may take it."""


def task_locked(task_id: int) -> Task:
    """The task's row, locked until commit (SQLite holds its one write lock anyway)."""
    task = Task.objects.select_for_update(of=("self",)).filter(pk=task_id).first()
    if task is None:
        raise NotFound(f"task {task_id} does not exist")
    return task


def slots_of(task: Task) -> Slots:
    """The task's places as the state machine sees them."""
    return Slots(state=task.state, overlap=task.overlap, taken=task.slots_taken, submitted=task.submitted_count)


def task_advance(task: Task, transition: Callable[[Slots], Slots], **extra: Any) -> None:
    """Take one step of the state machine and store it, with `extra` fields. The task must be locked.

    Raises Conflict when the task's state does not allow the step.
    """
    try:
        after = transition(slots_of(task))
    except states.WrongState as error:
        # The state machine knows no rows; the number of the task is added here.
        raise Conflict(f"task {task.pk} is '{task.get_state_display()}': {error}") from error
    fields: dict[str, Any] = {
        "state": after.state, "slots_taken": after.taken, "submitted_count": after.submitted,
        "available": after.available, **extra,
    }
    if after.available and not task.available:
        # People whose search is past this task have to find it again.
        fields.setdefault("returned_at", timezone.now())
    Task.objects.filter(pk=task.pk).update(**fields)
    for name, value in fields.items():
        setattr(task, name, value)


def lease_end(project: Project, now: datetime) -> datetime:
    """When a lease taken or renewed now runs out."""
    return now + timedelta(seconds=project.lease_seconds)
