"""Answers: draft, submit, skip, undo. An answer is judged against the label configuration and kept append-only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from django.db import transaction
from django.utils import timezone

from annotation.access import access_assignment, access_membership
from annotation.controls import ResultError
from annotation.domain import routing, states
from annotation.domain.labels import LabelConfig, reply_of
from annotation.domain.redaction import written
from annotation.domain.results import result_check
from annotation.domain.suggestions import edit_distance, suggestion_use
from annotation.label_config import label_config_of
from annotation.models import Annotation, Assignment, Project, Task
from annotation.selectors import task_data
from annotation.services.assignments import lease_reacquire, lease_renew
from annotation.services.flags import flag_undo, last_flag
from annotation.services.locking import lease_end, task_advance, task_locked
from annotation.services.redaction import search_ask
from flywheel.audit.actions import Action
from flywheel.audit.domain import payload_hash
from flywheel.audit.ledger import ledger_append
from flywheel.core.errors import Conflict, NotFound, UserError, ValidationFailed
from flywheel.core.json_values import plain_json
from flywheel.core.models import User
from flywheel.core.text import plain_lines

MAX_LEAD_SECONDS = 24 * 3600
MAX_REASON = 500
MAX_DRAFT_ITEMS = 1_000


def annotation_submit(
    *, assignment_id: int, user: User, result: Any, submission_id: UUID | str | None = None,
    lead_time_seconds: float | None = None, suggestion_id: int | None = None,
) -> Annotation:
    """Answer a task. The same `submission_id` again gives the annotation it made and changes nothing.

    A lease that ran out is taken again when a place is free; otherwise Conflict, and the answer is kept as a draft.
    Raises NotFound, ValidationFailed (the control's name is `field`), Conflict, Forbidden.
    """
    uid = _uuid(submission_id)
    # Before everything else, so that a repeated submit succeeds even when the lease, the project or the membership has
    # ended since.
    if done := _already(uid, assignment_id, user):
        return done
    assignment = access_assignment(user, assignment_id)
    access_membership(user, assignment.project, "task.annotate")
    # Outside the transaction: judging a large answer takes long, and the task's lock would make others wait.
    checked = result_validated(result, assignment.task, label_config_of(assignment.project))
    try:
        return _annotation_store(assignment_id, user, checked, uid, _seconds(lead_time_seconds), suggestion_id)
    except Conflict as error:
        # In its own transaction, since the one that failed is rolled back and what was typed must not be lost.
        if error.code in ("lease_lost", "flagged", "closed"):
            # The version is raised, because the page may have saved an older draft under the last one.
            row = Assignment.objects.get(pk=assignment_id)
            Assignment.objects.filter(pk=assignment_id).update(
                draft=checked, draft_version=row.draft_version + 1, draft_saved_at=timezone.now()
            )
        raise


def result_validated(result: Any, task: Task, config: LabelConfig) -> list[dict[str, Any]]:
    """The answer in its normal form. Raises ValidationFailed on the control's name."""
    try:
        return result_check(result, config, task_data(task.example))
    except ResultError as error:
        raise ValidationFailed(error.message, field=error.control or "result") from error


def _uuid(value: UUID | str | None) -> UUID:
    if value is None or value == "":
        return uuid4()
    try:
        return value if isinstance(value, UUID) else UUID(str(value))
    except ValueError as error:
        raise ValidationFailed(f"submission_id '{value}' is not a UUID; make a new one for each answer",
                      field="submission_id") from error


def _seconds(value: float | None) -> float | None:
    """Working time as told by the page; what cannot be is left out rather than refused."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_LEAD_SECONDS:
        return None
    return float(value)


def _already(uid: UUID, assignment_id: int, user: User) -> Annotation | None:
    done = Annotation.objects.select_related("task").filter(submission_id=uid).first()
    if done is None:
        return None
    # A submission id of another person or task is refused, because answering with theirs would show their answer.
    if done.author_id != user.pk or not Assignment.objects.filter(
        pk=assignment_id, user=user, task_id=done.task_id
    ).exists():
        raise Conflict(f"submission {uid} was used for another answer; make a new submission_id")
    return done


@transaction.atomic
def _annotation_store(
    assignment_id: int, user: User, result: list[dict[str, Any]], uid: UUID, seconds: float | None,
    suggestion_id: int | None,
) -> Annotation:
    task = task_locked(Assignment.objects.values_list("task_id", flat=True).get(pk=assignment_id))
    # Two copies of one submit queue at the lock; the second finds what the first made.
    if done := _already(uid, assignment_id, user):
        return done
    assignment = access_assignment(user, assignment_id)
    # With another submission id: a second window answered meanwhile, and its answer counts.
    if assignment.status == Assignment.Status.SUBMITTED:
        raise Conflict(f"you have answered task {task.pk}; undo the answer to change it", code="answered")
    if assignment.status not in states.HOLDING:
        lease_reacquire(task, assignment)
    now = timezone.now()
    annotation = annotation_create(
        task=task, project=assignment.project, author=user, submission_id=uid, result=result,
        lead_time_seconds=seconds, **suggestion_fields(task, assignment.project, result, suggestion_id),
    )
    Assignment.objects.filter(pk=assignment_id).update(
        status=Assignment.Status.SUBMITTED, draft=[], draft_saved_at=None
    )
    # Stored with the last answer only, because the review queue's waiting time starts when review becomes possible.
    last = task.submitted_count + 1 >= task.overlap
    task_advance(task, states.submit, **({"in_review_at": now} if last else {}))
    ledger_append(
        actor=user, action=Action.TASK_SUBMIT, object=f"annotation:{annotation.pk}",
        touched={"annotation": [annotation.pk], "task": [task.pk], "example": [task.example_id]},
        payload={
            "task": task.pk, "example": task.example_id, "result_sha256": payload_hash(result),
            "suggestion_use": annotation.suggestion_use, "state": task.state,
        },
    )
    return annotation


def annotation_create(**fields: Any) -> Annotation:
    """Store an answer, in the caller's transaction, and have its free text searched for personal data afterwards."""
    # Choices alone hold no personal data, so no job is made for them and they count as searched at once.
    silent = not written(fields["result"])
    annotation = Annotation.objects.create(**fields, searched_at=timezone.now() if silent else None)
    if not silent:
        search_ask(annotation)
    return annotation


def suggestion_fields(
    task: Task, project: Project, result: list[dict[str, Any]], suggestion_id: int | None
) -> dict[str, Any]:
    """What is remembered of the suggestion that was shown: which, from whom, how far the answer is from it."""
    if suggestion_id is None:
        return {}
    suggestion = task.example.suggestions.filter(pk=suggestion_id).first()
    # Also refused when it belongs to another task: the use of suggestions is measured against what was shown.
    if suggestion is None:
        raise ValidationFailed(f"suggestion {suggestion_id} is not one of task {task.pk}'s", field="suggestion_id")
    distance = edit_distance(suggestion.reply, reply_of(result, label_config_of(project)))
    return {
        "suggestion": suggestion, "suggestion_origin": suggestion.origin_name,
        "suggestion_use": suggestion_use(distance), "edit_distance": distance,
    }


def task_skip(*, assignment_id: int, user: User, reason: str) -> Assignment:
    """Hand a task back to others, with a reason for the lead.

    Raises NotFound, ValidationFailed, Conflict once answered.
    """
    reason = plain_lines(reason or "").strip()
    if not reason:
        raise ValidationFailed("say why you skip the task; the lead reads the reason", field="reason")
    if len(reason) > MAX_REASON:
        raise ValidationFailed(
            f"the reason has {len(reason)} characters; at most {MAX_REASON} are taken", field="reason"
        )
    return _assignment_skip(access_assignment(user, assignment_id), user, reason)


@transaction.atomic
def _assignment_skip(assignment: Assignment, user: User, reason: str) -> Assignment:
    task = task_locked(assignment.task_id)
    assignment = access_assignment(user, assignment.pk)
    if assignment.status == Assignment.Status.SKIPPED:
        return assignment
    if assignment.status == Assignment.Status.SUBMITTED:
        raise Conflict(f"you have answered task {task.pk}; undo the answer first", code="answered")
    if assignment.status in states.HOLDING:
        task_advance(task, states.give_back, returned_at=timezone.now())
    assignment.status, assignment.skip_reason = Assignment.Status.SKIPPED, reason
    assignment.save(update_fields=["status", "skip_reason"])
    ledger_append(
        actor=user, action=Action.TASK_SKIP, object=f"task:{task.pk}",
        touched={"task": [task.pk]},
        payload={"assignment": assignment.pk, "reason": reason},
    )
    return assignment


def annotation_undo(*, project: Project, user: User) -> Assignment:
    """Take back one's last answer in the project; its text is the draft again, and the task is one's own again.

    Raises NotFound without one, Conflict when a reviewer has judged it.
    """
    access_membership(user, project, "task.annotate")
    last = last_answer(project, user)
    if last is None:
        raise NotFound(f"you have no answer in '{project.name}' to undo")
    return _annotation_take_back(last, user)


def last_answer(project: Project, user: User) -> Annotation | None:
    """This person's last answer in the project that was not taken back."""
    mine = Annotation.objects.filter(author=user, project=project, parent=None)
    return mine.exclude(state=Annotation.State.UNDONE).order_by("-pk").first()


@transaction.atomic
def _annotation_take_back(annotation: Annotation, user: User) -> Assignment:
    task = task_locked(annotation.task_id)
    # Read again under its lock, because a reviewer may decide between the listing and this moment.
    annotation = Annotation.objects.select_for_update(of=("self",)).get(pk=annotation.pk)
    working = (Task.State.OPEN, Task.State.IN_REVIEW, Task.State.FLAGGED)
    if annotation.state != Annotation.State.SUBMITTED or task.state not in working:
        raise Conflict(
            f"your last answer (task {task.pk}) is '{annotation.get_state_display().lower()}' and can no longer be "
            "undone; ask a reviewer to send it back",
            code="reviewed",
        )
    task_advance(task, states.take_back, in_review_at=None)
    Annotation.objects.filter(pk=annotation.pk).update(state=Annotation.State.UNDONE)
    assignment = Assignment.objects.select_related("task", "project").get(task=task, user=user)
    now = timezone.now()
    assignment.status, assignment.why = Assignment.Status.ACTIVE, routing.OWN_UNDONE
    assignment.leased_at, assignment.expires_at = now, lease_end(assignment.project, now)
    # The answer becomes the draft, so that a person who undoes only has to change what was wrong.
    assignment.draft, assignment.draft_saved_at = plain_json(annotation.result), now
    assignment.draft_version += 1
    assignment.save()
    ledger_append(
        actor=user, action=Action.TASK_UNDO, object=f"annotation:{annotation.pk}",
        touched={"annotation": [annotation.pk], "task": [task.pk], "example": [task.example_id]},
        payload={"task": task.pk},
    )
    return assignment


def skips_restore(*, project: Project, user: User, limit: int = 200) -> int:
    """Make the tasks this person skipped available to them again. Returns how many."""
    access_membership(user, project, "task.annotate")
    skipped = Assignment.objects.filter(project=project, user=user, status=Assignment.Status.SKIPPED)
    pairs = list(skipped.order_by("task_id").values_list("pk", "task_id")[:limit])
    if not pairs:
        return 0
    with transaction.atomic():
        now = timezone.now()
        tasks = [task_id for _, task_id in pairs]
        # Locked in the order of their numbers, as a sweep does, so that the two cannot deadlock.
        free = Task.objects.select_for_update(of=("self",)).filter(pk__in=tasks, available=True).order_by("pk")
        Task.objects.filter(pk__in=[task.pk for task in free]).update(returned_at=now)
        restored = skipped.filter(pk__in=[pk for pk, _ in pairs]).update(
            status=Assignment.Status.EXPIRED, skip_reason="", expires_at=now
        )
        ledger_append(
            actor=user, action=Action.TASK_UNSKIP, object=f"project:{project.pk}",
            touched={"project": [project.pk], "task": tasks},
            payload={"tasks": tasks},
        )
    return restored


# -- drafts ------------------------------------------------------------------------------------------------------------
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
    # One conditional update decides, because two windows of one person save at the same time, and the state read above
    # may have changed since.
    older = Assignment.objects.filter(pk=row.pk, draft_version__lt=version).exclude(
        status=Assignment.Status.SUBMITTED
    ).exclude(task__state__in=[Task.State.SETTLED, Task.State.WITHDRAWN])
    saved = bool(older.update(draft=plain_json(draft), draft_version=version, draft_saved_at=timezone.now()))
    held, message = True, ""
    # Saving never fails for a lost lease: what was typed is stored already, and the page says that the place is gone.
    try:
        row = lease_renew(assignment_id=pk, user=user)
    except UserError as error:
        held, message = False, error.message
    stored = Assignment.objects.values_list("draft_version", "draft_saved_at", "expires_at").get(pk=pk)
    return DraftSaved(saved=saved, version=stored[0], saved_at=stored[1], held=held, expires_at=stored[2],
                      message=message)


# -- undo --------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Undone:
    """What was taken back, "answer" or "flag". `assignment` is the task again, None when it is not to be had."""

    kind: str
    assignment: Assignment | None
    message: str


def work_undo(*, project: Project, user: User) -> Undone:
    """Take back the last thing one did in the project, an answer or a flag.

    Raises NotFound when there is neither, Conflict when it was decided about.
    """
    access_membership(user, project, "task.annotate")
    flag = last_flag(project, user)
    answer = last_answer(project, user)
    if flag is None or (answer is not None and answer.created_at > flag.created_at):
        answered = annotation_undo(project=project, user=user)
        return Undone("answer", answered, "Your last answer is yours again; change it and submit.")
    assignment, message = flag_undo(flag=flag, user=user)
    return Undone("flag", assignment, message)
