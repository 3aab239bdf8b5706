"""Flags: a person reports that something is wrong with a task, and a reviewer or lead decides what becomes of it.

A flagged task is neither assigned nor settled. What the flag and the decision say in free text may quote
personal data, so the ledger gets its hash and not the text.
"""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from annotation.access import access_flag, access_flaggable, access_task
from annotation.domain import routing, states
from annotation.models import Annotation, Assignment, Flag, Project, Task
from annotation.services.locking import lease_end, task_advance, task_locked
from flywheel.audit.actions import Action
from flywheel.audit.domain import payload_hash
from flywheel.audit.ledger import ledger_append
from flywheel.core.errors import Conflict, ValidationFailed
from flywheel.core.models import User
from flywheel.core.text import plain_lines

MAX_COMMENT = 2_000
DECISIONS = {"return": Flag.State.RETURNED, "close": Flag.State.CLOSED}
"""What may be decided about a flag: back to work, or no more work on the task."""


def task_flag(*, task_id: int, user: User, reason: str, comment: str = "") -> Flag:
    """Flag a task that one has, had or may review. Flagging it again while one's flag is open changes nothing.

    An unanswered place is given back and its draft kept; an answer that was given stays. Raises NotFound,
    ValidationFailed (fields `reason`, `comment`), and Conflict once the task is closed or withdrawn.
    """
    comment = _comment(reason, comment)
    task = access_flaggable(user, task_id)
    return _flag_store(task, user, reason, comment)


def _comment(reason: str, comment: str) -> str:
    if reason not in Flag.Reason.values:
        raise ValidationFailed(
            f"'{str(reason)[:80]}' is not a reason; there are: {', '.join(Flag.Reason.values)}", field="reason"
        )
    comment = _text(comment, "comment")
    if reason == Flag.Reason.OTHER and not comment:
        raise ValidationFailed("say what is wrong: the lead reads your comment and decides by it", field="comment")
    return comment


def _text(text: str, field: str) -> str:
    text = plain_lines(text or "").strip()
    if len(text) > MAX_COMMENT:
        raise ValidationFailed(
            f"the {field} has {len(text):,} characters; at most {MAX_COMMENT:,} are taken", field=field
        )
    return text


@transaction.atomic
def _flag_store(task: Task, user: User, reason: str, comment: str) -> Flag:
    task = task_locked(task.pk)
    standing = Flag.objects.filter(task=task, raised_by=user, state=Flag.State.OPEN).first()
    # A double click, or the dialog and the page at once, makes one flag.
    if standing is not None:
        return standing
    # An answer that was submitted keeps its place; only an unanswered one is given up.
    held = Assignment.objects.filter(task=task, user=user).exclude(status=Assignment.Status.SUBMITTED).first()
    unanswered = held is not None and held.status in states.HOLDING
    task_advance(task, lambda slots: states.flag(states.give_back(slots) if unanswered else slots))
    if held is not None:
        Assignment.objects.filter(pk=held.pk).update(status=Assignment.Status.FLAGGED)
    flag = Flag.objects.create(task=task, project_id=task.project_id, raised_by=user, reason=reason, comment=comment)
    ledger_append(
        actor=user, action=Action.TASK_FLAG, object=f"task:{task.pk}",
        touched={"task": [task.pk], "example": [task.example_id]},
        payload={
            "flag": flag.pk, "example": task.example_id, "reason": reason, "comment_sha256": payload_hash(comment),
        },
    )
    return flag


def flag_resolve(*, flag_id: int, by: User, decision: str, note: str = "") -> Flag:
    """Decide about a flagged task; every open flag on it is resolved with the one decision.

    return: it goes on where it was, and the person who flagged it may get it again, with the note. close: it is not
    assigned
    any more and no snapshot takes it, until it is opened again. Raises NotFound, Forbidden (the project's
    reviewers and leads decide), ValidationFailed, and Conflict when another was first.
    """
    if decision not in DECISIONS:
        raise ValidationFailed(
            f"'{str(decision)[:80]}' is not a decision; there are: {', '.join(DECISIONS)}", field="decision"
        )
    note = _text(note, "note")
    return _flags_resolve(access_flag(by, flag_id), by, decision, note)


@transaction.atomic
def _flags_resolve(flag: Flag, by: User, decision: str, note: str) -> Flag:
    task = task_locked(flag.task_id)
    flag = Flag.objects.select_related("resolved_by").get(pk=flag.pk)
    if flag.state != Flag.State.OPEN:
        raise Conflict(
            f"the flag on task {task.pk} is decided: {flag.get_state_display().lower()}"
            f"{f' by {flag.resolved_by}' if flag.resolved_by else ''}; go on with the next one", code="decided",
        )
    standing = Flag.objects.filter(task=task, state=Flag.State.OPEN)
    # All open flags are decided together, because they are about the same task and a second decision could contradict
    # the first.
    resolved = sorted(standing.values_list("pk", flat=True))
    standing.update(state=DECISIONS[decision], resolved_by=by, resolved_at=timezone.now(), note=note)
    if decision == "return":
        _task_resume(task)
    else:
        Assignment.objects.filter(task=task, status__in=[Assignment.Status.ACTIVE, Assignment.Status.RETURNED]).update(
            status=Assignment.Status.EXPIRED
        )
        task_advance(task, states.close)
    ledger_append(
        actor=by, action=Action(f"flag.{decision}"), object=f"task:{task.pk}",
        touched={"task": [task.pk], "example": [task.example_id]},
        payload={"flags": resolved, "example": task.example_id, "state": task.state, "note_sha256": payload_hash(note)},
    )
    flag.refresh_from_db()
    return flag


def _task_resume(task: Task) -> None:
    """Let work on a locked task go on where it was. Who flagged it may get it again; drafts were kept."""
    task_advance(task, lambda slots: states.resume(slots, settled=task.settled_annotation_id is not None))
    Assignment.objects.filter(task=task, status=Assignment.Status.FLAGGED).update(status=Assignment.Status.EXPIRED)


def task_reopen(*, task_id: int, by: User) -> Task:
    """Take closing a task back: work goes on where it was. Again changes nothing.

    Raises NotFound, Forbidden (its reviewers and leads only), and Conflict when it is neither closed nor opened again.
    """
    return _task_open_again(access_task(by, task_id, "task.review"), by)


@transaction.atomic
def _task_open_again(task: Task, by: User) -> Task:
    task = task_locked(task.pk)
    # A second click finds the task open again; that is what was requested, so it is not an error.
    if task.state in (Task.State.OPEN, Task.State.IN_REVIEW, Task.State.SETTLED):
        return task
    if task.state != Task.State.CLOSED:
        state = task.get_state_display().lower()
        raise Conflict(f"task {task.pk} is '{state}', not closed; there is nothing to open again")
    _task_resume(task)
    ledger_append(
        actor=by, action=Action.TASK_REOPEN, object=f"task:{task.pk}",
        touched={"task": [task.pk], "example": [task.example_id]},
        payload={"example": task.example_id, "state": task.state},
    )
    return task


# -- undo --------------------------------------------------------------------------------------------------------------
def last_flag(project: Project, user: User) -> Flag | None:
    """This person's last flag in the project that was not taken back."""
    gone = [Flag.State.UNDONE, Flag.State.WITHDRAWN]
    return Flag.objects.filter(raised_by=user, project=project).exclude(state__in=gone).order_by("-pk").first()


@transaction.atomic
def flag_undo(*, flag: Flag, user: User) -> tuple[Assignment | None, str]:
    """Take a flag back. Returns the task's assignment, None when its place is taken, and what to say to the person.

    Raises Conflict when the flag was decided about.
    """
    task = task_locked(flag.task_id)
    flag = Flag.objects.select_related("resolved_by").get(pk=flag.pk)
    if flag.state != Flag.State.OPEN:
        raise Conflict(
            f"your flag on task {task.pk} is decided ({flag.get_state_display().lower()}) and can no longer be taken "
            "back; go on with the next task", code="decided",
        )
    Flag.objects.filter(pk=flag.pk).update(state=Flag.State.UNDONE, resolved_by=user, resolved_at=timezone.now())
    others = Flag.objects.filter(task=task, state=Flag.State.OPEN).exists()
    # Another person's flag still waits for a decision, so the task stays withheld.
    if not others:
        task_advance(task, lambda slots: states.resume(slots, settled=task.settled_annotation_id is not None))
    assignment = _taken_up(task, user)
    ledger_append(
        actor=user, action=Action.FLAG_UNDO, object=f"task:{task.pk}",
        touched={"task": [task.pk], "example": [task.example_id]},
        payload={"flag": flag.pk, "example": task.example_id, "state": task.state},
    )
    return assignment, _undone_words(task, assignment)


def _taken_up(task: Task, user: User) -> Assignment | None:
    """Give the task back to the person who had it before flagging it, if a place is free."""
    assignment = Assignment.objects.select_related("project", "task__example").filter(
        task=task, user=user, status=Assignment.Status.FLAGGED
    ).first()
    if assignment is None:
        return None
    now, free = timezone.now(), task.available
    if free:
        task_advance(task, states.take)
    assignment.task.refresh_from_db()
    assignment.status = Assignment.Status.ACTIVE if free else Assignment.Status.EXPIRED
    assignment.leased_at, assignment.expires_at = now, lease_end(assignment.project, now) if free else now
    assignment.why = routing.OWN_UNFLAGGED
    assignment.save(update_fields=["status", "leased_at", "expires_at"])
    return assignment if free else None


def _undone_words(task: Task, assignment: Assignment | None) -> str:
    if assignment is not None:
        return "Your flag is taken back and the task is yours again."
    words = f"Your flag on task {task.pk} is taken back"
    if task.state == Task.State.FLAGGED:
        return f"{words}; another person has flagged it too, so it waits for a decision."
    if Annotation.objects.filter(task=task).exists():
        return f"{words}; its answers are kept."
    return f"{words}; its place was taken by another annotator meanwhile."
