"""The workbench: one task fills the screen. A form that posts; the module workbench.js only makes it quicker."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation import access, selectors, services
from annotation.label_config import label_config_of
from annotation.models import Assignment, Flag, Membership, Project
from annotation.stats import project_numbers, projects_numbers
from annotation.view_models import TaskView, guidelines_html, result_posted, task_view, values_posted
from flywheel.core.errors import Conflict, UserError, ValidationFailed
from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.core.paging import keyset_page
from flywheel.core.text import whole_number

# What is wrong with the task itself is flagged, not skipped: skipping hands it to the next person.
SKIP_REASONS = (
    "Not understandable", "A language I do not read", "Needs knowledge I do not have", "Nothing to reply to",
)


@permitted("project.choose")
@require_GET
def choose(request: AuthenticatedRequest) -> HttpResponse:
    """The projects one annotates in; straight to the only one."""
    roles = [Membership.Role.ANNOTATOR, Membership.Role.LEAD]
    found = list(
        Project.objects.filter(memberships__user=request.user, memberships__role__in=roles, archived_at=None)
        .distinct().order_by("name")[:200]
    )
    if len(found) == 1:
        return redirect("annotation:workbench", slug=found[0].slug)
    numbers = projects_numbers(found)
    rows = [(project, numbers[project.pk]) for project in found]
    context = {"rows": rows, "target": "annotation:workbench", "what": "annotate"}
    return render(request, "annotation/choose.html", context)


@permitted("task.annotate")
@require_http_methods(["GET", "POST"])
def workbench(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """The task to work on now; posting the form answers it."""
    project = access.access_project(request.user, slug, "task.annotate")
    if request.method == "POST":
        return _submit(request, project)
    chosen = request.GET.get("assignment", "")
    try:
        if assignment_id := whole_number(chosen):
            assignment: Assignment | None = services.assignment_open(user=request.user, assignment_id=assignment_id)
        else:
            assignment = services.task_next(project=project, user=request.user)
    except Conflict as error:
        return _empty_page(request, project, error)
    if assignment is None:
        return _empty_page(request, project, None)
    return _page(request, project, task_view(assignment))


def _page(request: AuthenticatedRequest, project: Project, view: TaskView, status: int = 200) -> HttpResponse:
    return render(request, "annotation/workbench.html", _context(request, project) | {"view": view}, status=status)


def _context(request: AuthenticatedRequest, project: Project) -> dict[str, Any]:
    return {
        "project": project, "numbers": project_numbers(project), "guidelines": guidelines_html(project.guidelines),
        "done_today": selectors.done_today(project=project, user=request.user), "skip_reasons": SKIP_REASONS,
        "flag_reasons": Flag.Reason.choices,
    }


def _empty_page(request: AuthenticatedRequest, project: Project, error: UserError | None) -> HttpResponse:
    context = _context(request, project) | _empty(request, project, error)
    return render(request, "annotation/workbench.html", context)


def _empty(request: AuthenticatedRequest, project: Project, error: UserError | None) -> dict[str, Any]:
    skipped = selectors.own_work(project=project, user=request.user, status=Assignment.Status.SKIPPED)
    return {"project": project, "error": error, "skipped": len(skipped.values_list("pk")[:200]),
            "sources": list(project.sources.all()[:20])}


def _submit(request: AuthenticatedRequest, project: Project) -> HttpResponse:
    assignment_id = whole_number(request.POST.get("assignment"), 0)
    config = label_config_of(project)
    suggestion = request.POST.get("suggestion_id", "")
    try:
        services.annotation_submit(
            assignment_id=assignment_id, user=request.user, result=result_posted(config, request.POST),
            submission_id=request.POST.get("submission_id") or None,
            suggestion_id=whole_number(suggestion, 0) if suggestion else None,
        )
    except ValidationFailed as error:
        view = task_view(
            access.access_assignment(request.user, assignment_id), values=values_posted(config, request.POST),
            submission_id=request.POST.get("submission_id", ""), error=error.message, error_field=error.field,
        )
        return _page(request, project, view, status=error.status)
    except Conflict as error:
        messages.error(request, error.message)
    return redirect("annotation:workbench", slug=project.slug)


def _fragment(request: AuthenticatedRequest, project: Project, assignment: Assignment | None) -> HttpResponse:
    if assignment is None:
        return render(request, "annotation/_nothing.html", _empty(request, project, None))
    return render(request, "annotation/_task.html", {"view": task_view(assignment), "project": project})


@permitted("task.annotate")
@require_POST
def task_fragment(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """The task to work on now, as the part of the page that is swapped."""
    project = access.access_project(request.user, slug, "task.annotate")
    return _fragment(request, project, services.task_next(project=project, user=request.user))


@permitted("task.annotate")
@require_POST
def ahead_fragment(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """The task after the current one, leased ahead; 204 without one."""
    project = access.access_project(request.user, slug, "task.annotate")
    assignment = services.task_peek(
        project=project, user=request.user, current_id=whole_number(request.POST.get("current"), 0)
    )
    return HttpResponse(status=204) if assignment is None else _fragment(request, project, assignment)


@permitted("task.annotate")
@require_POST
def open_fragment(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    """One's own earlier task, taken up again."""
    project = access.access_project(request.user, slug, "task.annotate")
    return _fragment(request, project, services.assignment_open(user=request.user, assignment_id=pk))


@permitted("task.annotate")
@require_POST
def undo(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """Take the last answer or flag back; what was typed is the draft again."""
    project = access.access_project(request.user, slug, "task.annotate")
    if request.headers.get("X-Requested-With") == "workbench":
        undone = services.work_undo(project=project, user=request.user)
        assignment = undone.assignment or services.task_next(project=project, user=request.user)
        response = _fragment(request, project, assignment)
        # In headers, because the body is the part of the page that is swapped; quoted, because headers are ASCII.
        response["X-Undone"], response["X-Message"] = undone.kind, quote(undone.message)
        return response
    try:
        undone = services.work_undo(project=project, user=request.user)
    except UserError as error:
        messages.error(request, error.message)
        return redirect("annotation:workbench", slug=slug)
    messages.success(request, undone.message)
    address = reverse("annotation:workbench", args=[slug])
    return redirect(f"{address}?assignment={undone.assignment.pk}" if undone.assignment else address)


@permitted("task.annotate")
@require_http_methods(["GET", "POST"])
def skip(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    """Skip a task with a reason: the page behind the dialog, for browsers without scripts."""
    project = access.access_project(request.user, slug, "task.annotate")
    assignment = access.access_assignment(request.user, pk)
    if request.method == "GET":
        return render(request, "annotation/skip.html",
                      {"project": project, "assignment": assignment, "skip_reasons": SKIP_REASONS})
    reason = request.POST.get("other", "").strip() or request.POST.get("reason", "")
    try:
        services.task_skip(assignment_id=pk, user=request.user, reason=reason)
    except ValidationFailed as error:
        return render(request, "annotation/skip.html",
                      {"project": project, "assignment": assignment, "skip_reasons": SKIP_REASONS, "error": error},
                      status=400)
    except Conflict as error:
        messages.error(request, error.message)
    return redirect("annotation:workbench", slug=slug)


@permitted("task.annotate")
@require_POST
def unskip(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """Make the tasks one skipped available to oneself again."""
    project = access.access_project(request.user, slug, "task.annotate")
    count = services.skips_restore(project=project, user=request.user)
    messages.success(request, f"{count} skipped task{'' if count == 1 else 's'} can be given to you again.")
    return redirect("annotation:workbench", slug=slug)


@permitted("task.annotate")
@require_GET
def mine(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """One's own work in a project: drafts, answers, skipped and sent back."""
    project = access.access_project(request.user, slug, "task.annotate")
    status = request.GET.get("status", "")
    status = status if status in Assignment.Status.values else ""
    page = keyset_page(selectors.own_work(project=project, user=request.user, status=status), request.GET)
    return render(request, "annotation/mine.html", {
        "project": project, "page": page, "status": status, "statuses": Assignment.Status.choices,
        "answers": selectors.answers_by_task(request.user, [row.task_id for row in page.rows]),
        "flags": selectors.flags_by_task(request.user, [row.task_id for row in page.rows]),
    })
