"""Reading annotation: what a task shows, settled examples for datasets, queues, numbers.

Every query here is bounded or keyset-paged; numbers over all tasks come from gauges that annotation.tasks counts.
"""

from __future__ import annotations

from django.db.models import Prefetch, QuerySet
from django.utils import timezone

from annotation.domain.labels import TaskData, reply_of
from annotation.domain.quality import quality_fault
from annotation.domain.routing import reviewer_offset
from annotation.label_config import label_config_of
from annotation.models import Annotation, Assignment, Flag, Membership, Project, Review, Suggestion, Task
from annotation.quality_text import Reason, reasons_of
from flywheel.capture.models import Example
from flywheel.core.models import User

DAY_LIMIT = 1_000
CHUNK = 1_000


def task_data(example: Example) -> TaskData:
    """What annotators see of an example: redacted text only."""
    messages = list(example.redacted)
    has_target = 0 <= example.context_length < len(messages)
    return TaskData(
        messages=messages, target=example.context_length if has_target else None,
        subject=example.redacted_subject_line, label=example.label, language=example.language,
    )


def suggestions_of(example: Example) -> list[Suggestion]:
    """Suggestions to show, the best first: the newest model's, then the agent's own reply. Blank ones do not count."""
    # Through the example's manager, so that each suggestion has the example already and its reply needs no query.
    found = [one for one in example.suggestions.filter(withdrawn_at=None).order_by("-pk")[:10] if one.reply.strip()]
    return sorted(found, key=lambda suggestion: suggestion.origin != Suggestion.Origin.MODEL)


def rejection_of(task: Task, user: User) -> Review | None:
    """The last rejection of this person's answer on the task, whose comment is shown with it."""
    return (
        Review.objects.filter(task=task, annotation__author=user, decision=Review.Decision.REJECT)
        .select_related("reviewer").order_by("-pk").first()
    )


def flag_returned_of(task: Task) -> Flag | None:
    """The last flag on the task that was sent back to work, whose note is shown to the next annotator."""
    returned = Flag.objects.filter(task=task, state=Flag.State.RETURNED).select_related("raised_by", "resolved_by")
    return returned.order_by("-pk").first()


def quality_reasons(task: Task | None) -> list[Reason]:
    """Annotation's half of the gate for one task (None: the example has no task); [] when it is good."""
    if task is None:
        return reasons_of(quality_fault(state=None, reply=None))
    config = label_config_of(task.project)
    answer = task.settled_annotation
    asks_reply = config.reply_control is not None and answer is not None
    reply = reply_of(answer.result, config) if asks_reply and answer else None
    searched = answer is None or answer.searched_at is not None
    return reasons_of(quality_fault(state=task.state, reply=reply, searched=searched))


# -- queues ------------------------------------------------------------------------------------------------------------
def review_queue(project: Project) -> QuerySet[Task]:
    """Tasks that wait for a reviewer, with their example and their answers with authors."""
    submitted = Annotation.objects.filter(state=Annotation.State.SUBMITTED)
    answers = submitted.select_related("author", "suggestion").order_by("pk")
    return (
        Task.objects.filter(project=project, state=Task.State.IN_REVIEW)
        .select_related("example")
        .prefetch_related(Prefetch("annotations", queryset=answers, to_attr="answers"))
    )


def review_next(*, project: Project, user: User, after_id: int = 0) -> Task | None:
    """The next task this reviewer may judge: not answered by them, after `after_id`, then from the start.

    Reviewers start at different places of the queue's head, so that they seldom open the same task.
    """
    # From the start again at the end, so that tasks that were passed over are met once more.
    for start in (after_id, 0) if after_id else (0,):
        head = [
            task for task in review_queue(project).filter(pk__gt=start).order_by("pk")[:100]
            if all(answer.author_id != user.pk for answer in task.answers)  # type: ignore[attr-defined]
        ]
        if head:
            # Only from the queue's start: a reviewer who goes on after a task expects the next one.
            offset = 0 if start else reviewer_offset(_reviewers(project), user.pk, min(len(head), 20))
            return head[offset]
    return None


def _reviewers(project: Project) -> list[int]:
    """Reviewers, then leads, who review only when there is need."""
    roles = [Membership.Role.REVIEWER, Membership.Role.LEAD]
    found = Membership.objects.filter(project=project, role__in=roles).order_by("-role", "user_id")
    return list(dict.fromkeys(found.values_list("user_id", flat=True)[:50]))


def done_today(*, project: Project, user: User) -> int:
    """Answers this person gave since midnight (UTC), counted up to a thousand."""
    # Counted in Python from the newest answers, because an index by author serves that order and the day is short.
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    recent = (
        Annotation.objects.filter(author=user, project=project, parent=None)
        .order_by("-pk").values_list("created_at", "state")[:DAY_LIMIT]
    )
    return sum(1 for at, state in recent if at >= midnight and state != Annotation.State.UNDONE)


def own_work(*, project: Project, user: User, status: str = "") -> QuerySet[Assignment]:
    """This person's assignments in the project, of one status when given."""
    rows = Assignment.objects.filter(project=project, user=user).select_related("task__example")
    return rows.filter(status=status) if status else rows


def answers_by_task(user: User, task_ids: list[int]) -> dict[int, Annotation]:
    """This person's last answer on each of these tasks that was not undone."""
    answers = Annotation.objects.filter(author=user, task_id__in=task_ids, parent=None)
    return {answer.task_id: answer for answer in answers.exclude(state=Annotation.State.UNDONE).order_by("pk")}


def tasks_listed(*, project: Project) -> QuerySet[Task]:
    """A project's tasks with example and settled answer."""
    return (
        Task.objects.filter(project=project).select_related("example__source", "settled_annotation__author")
        .defer("example__conversation", "example__pii")
    )


# -- flags -------------------------------------------------------------------------------------------------------------
def flags_listed(*, project: Project, state: str = "", reason: str = "") -> QuerySet[Flag]:
    """A project's flags with their tasks and people, of one state and one reason when given."""
    flags = Flag.objects.filter(project=project).select_related("task__example", "raised_by", "resolved_by")
    flags = flags.filter(state=state) if state else flags
    return flags.filter(reason=reason) if reason else flags


def flags_of(task: Task) -> list[Flag]:
    """Every flag that was raised on the task, oldest first."""
    return list(Flag.objects.filter(task=task).select_related("raised_by", "resolved_by").order_by("pk")[:100])


def flags_by_task(user: User, task_ids: list[int]) -> dict[int, Flag]:
    """This person's last flag on each of these tasks that was not taken back."""
    flags = Flag.objects.filter(raised_by=user, task_id__in=task_ids).exclude(state=Flag.State.UNDONE)
    return {flag.task_id: flag for flag in flags.select_related("resolved_by").order_by("pk")}
