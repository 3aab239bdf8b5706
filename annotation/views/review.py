"""The reviewer's pages: the queue, and one task with its answers beside its source."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation import access, selectors, services
from annotation.domain.labels import LabelConfig
from annotation.label_config import label_config_of
from annotation.models import Annotation, Membership, Project, Review, Task
from annotation.stats import project_numbers, projects_numbers
from annotation.view_models import answer_view, documents_of, guidelines_html, result_posted, values_posted
from flywheel.core.errors import Conflict, NotFound, UserError
from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.core.models import User
from flywheel.core.paging import keyset_page
from flywheel.core.text import whole_number


@permitted("project.choose")
@require_GET
def choose(request: AuthenticatedRequest) -> HttpResponse:
    """The projects one reviews in; straight to the only one."""
    roles = [Membership.Role.REVIEWER, Membership.Role.LEAD]
    found = list(
        Project.objects.filter(memberships__user=request.user, memberships__role__in=roles)
        .distinct().order_by("name")[:200]
    )
    if len(found) == 1:
        return redirect("annotation:review", slug=found[0].slug)
    numbers = projects_numbers(found)
    rows = [(project, numbers[project.pk]) for project in found]
    return render(request, "annotation/choose.html", {"rows": rows, "target": "annotation:review", "what": "review"})


@permitted("task.review")
@require_GET
def review(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """The next task to judge."""
    project = access.access_project(request.user, slug, "task.review")
    task = selectors.review_next(
        project=project, user=request.user, after_id=whole_number(request.GET.get("after"), 0)
    )
    if task is None:
        context = {"project": project, "numbers": project_numbers(project)}
        return render(request, "annotation/review_empty.html", context)
    return _page(request, project, task)


@permitted("task.review")
@require_http_methods(["GET", "POST"])
def review_task(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    """One task of the queue; posting decides on one of its answers."""
    project = access.access_project(request.user, slug, "task.review")
    task = Task.objects.filter(project=project, pk=pk).select_related("example").first()
    if task is None:
        raise NotFound(f"task {pk} is not in '{project.name}'")
    if request.method == "POST":
        return _decide(request, project, task)
    _load_answers(task)
    return _page(request, project, task)


def _load_answers(task: Task) -> None:
    answers = task.annotations.exclude(state=Annotation.State.UNDONE)
    task.answers = list(answers.select_related("author", "suggestion").order_by("pk"))  # type: ignore[attr-defined]


def _page(
    request: AuthenticatedRequest, project: Project, task: Task, *, error: UserError | None = None
) -> HttpResponse:
    config = label_config_of(project)
    data = selectors.task_data(task.example)
    answers = [
        answer_view(answer, project, **_posted(request, answer, config))
        for answer in task.answers  # type: ignore[attr-defined]
    ]
    reviews = Review.objects.filter(task=task).select_related("reviewer", "annotation__author").order_by("pk")
    return render(request, "annotation/review.html", {
        "project": project, "task": task, "data": data, "documents": documents_of(config, data), "answers": answers,
        "numbers": project_numbers(project), "reviews": list(reviews), "error": error,
        "waiting": task.state == Task.State.IN_REVIEW,
        "own": any(_waits_of(answer.annotation, request.user) for answer in answers),
        "guidelines": guidelines_html(project.guidelines), "may_decide": True,
    }, status=error.status if error else 200)


def _waits_of(answer: Annotation, user: User) -> bool:
    """Whether it is an answer of this person that waits: who gave theirs up after a rejection may judge the others'."""
    return answer.author_id == user.pk and answer.state == Annotation.State.SUBMITTED


def _posted(request: AuthenticatedRequest, answer: Annotation, config: LabelConfig) -> dict[str, Any]:
    """What was typed for this answer when its decision was refused, so that it is not lost."""
    if request.method != "POST" or request.POST.get("annotation") != str(answer.pk):
        return {}
    fixing = request.POST.get("decision") == Review.Decision.FIX
    return {
        "comment": request.POST.get("comment", ""),
        "posted": values_posted(config, request.POST) if fixing else None,
    }


def _decide(request: AuthenticatedRequest, project: Project, task: Task) -> HttpResponse:
    decision = request.POST.get("decision", "")
    answer = whole_number(request.POST.get("annotation"), 0)
    # Only a fix has controls in its form, and reading them for another decision would find an empty answer.
    fixed = result_posted(label_config_of(project), request.POST) if decision == Review.Decision.FIX else None
    try:
        # Answers are numbered over all projects, and the address names one task.
        if not Annotation.objects.filter(pk=answer, task=task).exists():
            raise NotFound(f"task {task.pk} has no answer '{request.POST.get('annotation', '')}'")
        made = services.review_settle(
            annotation_id=answer, reviewer=request.user, decision=decision,
            comment=request.POST.get("comment", ""), fixed_result=fixed,
        )
    except Conflict as error:
        messages.error(request, error.message)
        return redirect(f"/review/{project.slug}/?after={task.pk}")
    except UserError as error:
        # The answers are read again, because the page of a refused decision shows all of them.
        _load_answers(task)
        return _page(request, project, task, error=error)
    said = {"accept": "accepted", "fix": "fixed and accepted", "reject": "sent back to its author"}[made.decision]
    messages.success(request, f"Task {task.pk} {said}.")
    return redirect(f"/review/{project.slug}/?after={task.pk}")


@permitted("task.review")
@require_POST
def span(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    """Say whether something found in an answer is personal data."""
    project = access.access_project(request.user, slug, "task.review")
    answer = Annotation.objects.filter(pk=pk, project=project).first()
    if answer is None:
        raise NotFound(f"answer {pk} is not in '{project.name}'")
    try:
        services.span_keep(
            annotation_id=pk, by=request.user, control=request.POST.get("control", ""),
            part=whole_number(request.POST.get("part"), -1), start=whole_number(request.POST.get("start"), -1),
            keep=request.POST.get("keep") == "1",
        )
    except UserError as error:
        messages.error(request, error.message)
    page = "annotation:task" if request.POST.get("from") == "task" else "annotation:review_task"
    return redirect(page, slug=slug, pk=answer.task_id)


@permitted("task.review")
@require_GET
def queue(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """What waits for review, oldest first."""
    project = access.access_project(request.user, slug, "task.review")
    page = keyset_page(selectors.review_queue(project), request.GET, newest_first=False)
    return render(request, "annotation/queue.html", {
        "project": project, "page": page, "numbers": project_numbers(project), "me": request.user.pk,
    })
