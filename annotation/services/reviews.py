"""Review: a second person accepts, fixes or rejects; only what is settled here goes on."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from annotation.access import access_membership
from annotation.domain import states
from annotation.label_config import label_config_of
from annotation.models import Annotation, Assignment, Review, Task
from annotation.services.annotations import annotation_create, result_validated, suggestion_fields
from annotation.services.locking import RETURN_HOLD, task_advance, task_locked
from flywheel.audit.actions import Action
from flywheel.audit.domain import payload_hash
from flywheel.audit.ledger import ledger_append
from flywheel.core.errors import Conflict, Forbidden, NotFound, ValidationFailed
from flywheel.core.models import User
from flywheel.core.permissions import allow
from flywheel.core.text import plain_lines

MAX_COMMENT = 2_000


def review_settle(
    *, annotation_id: int, reviewer: User, decision: str, comment: str = "", fixed_result: Any = None
) -> Review:
    """Decide on one answer of a task in review.

    accept: the task is settled with it and other answers are not chosen. fix: the same, with the reviewer's
    `fixed_result` as a new annotation whose parent is the answer. reject (needs a comment): the answer goes back to
    its author, who gets it next with the comment.
    Raises NotFound, ValidationFailed, Forbidden (not a reviewer of the project, or answered the task themselves) and
    Conflict (another reviewer was first).
    """
    comment = _comment(decision, comment)
    annotation = (
        Annotation.objects.select_related("task", "task__example", "project").filter(pk=annotation_id).first()
    )
    if annotation is None:
        raise NotFound(f"annotation {annotation_id} does not exist")
    access_membership(reviewer, annotation.project, "task.review")
    # Validated before the task is locked, because a large fix takes long to judge.
    result = _fixed(annotation, decision, fixed_result)
    return _review_store(annotation, reviewer, decision, comment, result)


def _comment(decision: str, comment: str) -> str:
    if decision not in Review.Decision.values:
        raise ValidationFailed(
            f"'{decision}' is not a decision; there are: {', '.join(Review.Decision.values)}", field="decision"
        )
    comment = plain_lines(comment or "").strip()
    if decision == Review.Decision.REJECT and not comment:
        raise ValidationFailed("say what has to change: a rejected answer goes back to its author with your comment",
                      field="comment")
    if len(comment) > MAX_COMMENT:
        raise ValidationFailed(
            f"the comment has {len(comment)} characters; at most {MAX_COMMENT} are taken", field="comment"
        )
    return comment


def _fixed(annotation: Annotation, decision: str, fixed_result: Any) -> list[dict[str, Any]] | None:
    if decision != Review.Decision.FIX:
        return None
    result = result_validated(fixed_result, annotation.task, label_config_of(annotation.project))
    if result == annotation.result:
        raise ValidationFailed("the fix is the same as the answer; accept it instead", field="fixed_result")
    return result


@transaction.atomic
def _review_store(
    annotation: Annotation, reviewer: User, decision: str, comment: str, result: list[dict[str, Any]] | None
) -> Review:
    task = task_locked(annotation.task_id)
    annotation = Annotation.objects.select_related("project").get(pk=annotation.pk)
    _in_review(task, annotation)
    # Four eyes: a person who answered the task would choose between their own answer and others'.
    if Annotation.objects.filter(task=task, author=reviewer, state=Annotation.State.SUBMITTED).exists():
        raise Forbidden(f"you answered task {task.pk} yourself; another reviewer has to judge it")
    review = Review(annotation=annotation, task=task, reviewer=reviewer, decision=decision, comment=comment)
    if decision == Review.Decision.REJECT:
        _annotation_send_back(task, annotation)
    else:
        review.fixed_annotation = _task_settle(task, annotation, reviewer, result)
    review.save()
    ledger_append(
        actor=reviewer, action=Action(f"review.{decision}"), object=f"annotation:{annotation.pk}",
        touched={"annotation": [annotation.pk], "task": [task.pk], "example": [task.example_id]},
        payload={
            "task": task.pk, "example": task.example_id, "author": annotation.author_id, "comment": comment,
            "settled": task.settled_annotation_id,
            "fixed_sha256": payload_hash(result) if result is not None else None,
        },
    )
    return review


def _in_review(task: Task, annotation: Annotation) -> None:
    if task.state == Task.State.IN_REVIEW and annotation.state == Annotation.State.SUBMITTED:
        return
    last = Review.objects.filter(task=task).select_related("reviewer").order_by("-pk").first()
    # Two reviewers open the same task at times. The message to the second one names who decided, so that they need not
    # search for it.
    who = f"{last.reviewer} was first ({last.get_decision_display().lower()})" if last else (
        f"task {task.pk} is '{task.get_state_display().lower()}', the answer "
        f"'{annotation.get_state_display().lower()}'"
    )
    raise Conflict(f"task {task.pk} no longer waits for this decision: {who}; go on with the next one", code="decided")


def _annotation_send_back(task: Task, annotation: Annotation) -> None:
    now = timezone.now()
    task_advance(task, states.take_back, in_review_at=None)
    Annotation.objects.filter(pk=annotation.pk).update(state=Annotation.State.REJECTED)
    held = Assignment.objects.select_for_update(of=("self",)).get(task=task, user_id=annotation.author_id)
    held.status = Assignment.Status.RETURNED
    # For who has left the project it is not kept: it is free for anyone at once.
    may_annotate = allow("task.annotate", annotation.author, annotation.project)
    held.expires_at = now + RETURN_HOLD if may_annotate else now
    held.draft, held.draft_saved_at, held.draft_version = annotation.result, now, held.draft_version + 1
    held.save()


def _task_settle(
    task: Task, annotation: Annotation, reviewer: User, result: list[dict[str, Any]] | None
) -> Annotation | None:
    """Settle the task with the answer, or with its fix, which is returned."""
    fix = None
    if result is not None:
        fix = annotation_create(
            task=task, project=annotation.project, author=reviewer, parent=annotation, result=result,
            state=Annotation.State.ACCEPTED,
            **suggestion_fields(task, annotation.project, result, annotation.suggestion_id),
        )
    # Only submitted ones: a rejected answer keeps its state, which its author's numbers are counted from.
    others = Annotation.objects.filter(task=task, state=Annotation.State.SUBMITTED).exclude(pk=annotation.pk)
    others.update(state=Annotation.State.NOT_CHOSEN)
    Annotation.objects.filter(pk=annotation.pk).update(
        state=Annotation.State.FIXED if fix else Annotation.State.ACCEPTED
    )
    task_advance(task, states.settle, settled_annotation=fix or annotation, settled_at=timezone.now())
    return fix
