"""The workbench: one task fills the screen. A form that posts; the module workbench.js only makes it quicker."""

from __future__ import annotations

from typing import Any, cast
from urllib.parse import quote

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation import access, selectors, services
from annotation.label_config import label_config_of
from annotation.models import Assignment, Flag, Membership, Project
from annotation.stats import project_numbers, projects_numbers
from annotation.view_models import TaskView, guidelines_html, result_posted, task_view, values_posted
from flywheel.core.errors import Conflict, UserError, ValidationFailed
from flywheel.core.models import User
from flywheel.core.paging import keyset_page
from flywheel.core.text import whole_number

# What is wrong with the task itself is flagged, not skipped: skipping hands it to the next person.
SKIP_REASONS = (
    "Not understandable", "A language I do not read", "Needs knowledge I do not have", "Nothing to reply to",
)


def person(request: HttpRequest) -> User:
    """Who asks; login_required has sent strangers away."""
    return cast(User, request.user)


@login_required
@require_GET
def choose(request: HttpRequest) -> HttpResponse:
    """The projects one annotates in; straight to the only one."""
    roles = [Membership.Role.ANNOTATOR, Membership.Role.LEAD]
    found = list(
        Project.objects.filter(memberships__user=person(request), memberships__role__in=roles, archived_at=None)
        .distinct().order_by("name")[:200]
    )
    if len(found) == 1:
        return redirect("annotation:workbench", slug=found[0].slug)
    numbers = projects_numbers(found)
    rows = [(project, numbers[project.pk]) for project in found]
    context = {"rows": rows, "target": "annotation:workbench", "what": "annotate"}
    return render(request, "annotation/choose.html", context)


@login_required
@require_http_methods(["GET", "POST"])
def workbench(request: HttpRequest, slug: str) -> HttpResponse:
    """The task to work on now; posting the form answers it."""
    project = access.access_project(person(request), slug, access.ANNOTATE)
    if request.method == "POST":
        return _submit(request, project)
    chosen = request.GET.get("assignment", "")
    try:
        if assignment_id := whole_number(chosen):
            assignment: Assignment | None = services.assignment_open(user=person(request), assignment_id=assignment_id)
        else:
            assignment = services.task_next(project=project, user=person(request))
    except Conflict as error:
        return _empty_page(request, project, error)
    if assignment is None:
        return _empty_page(request, project, None)
    return _page(request, project, task_view(assignment))


def _page(request: HttpRequest, project: Project, view: TaskView, status: int = 200) -> HttpResponse:
    return render(request, "annotation/workbench.html", _context(request, project) | {"view": view}, status=status)


def _context(request: HttpRequest, project: Project) -> dict[str, Any]:
    return {
        "project": project, "numbers": project_numbers(project), "guidelines": guidelines_html(project.guidelines),
        "done_today": selectors.done_today(project=project, user=person(request)), "skip_reasons": SKIP_REASONS,
        "flag_reasons": Flag.Reason.choices,
    }


def _empty_page(request: HttpRequest, project: Project, error: UserError | None) -> HttpResponse:
    context = _context(request, project) | _empty(request, project, error)
    return render(request, "annotation/workbench.html", context)


def _empty(request: HttpRequest, project: Project, error: UserError | None) -> dict[str, Any]:
    skipped = selectors.own_work(project=project, user=person(request), status=Assignment.Status.SKIPPED)
    return {"project": project, "error": error, "skipped": len(skipped.values_list("pk")[:200]),
            "sources": list(project.sources.all()[:20])}


def _submit(request: HttpRequest, project: Project) -> HttpResponse:
    assignment_id = whole_number(request.POST.get("assignment"), 0)
    config = label_config_of(project)
    suggestion = request.POST.get("suggestion_id", "")
    try:
        services.annotation_submit(
            assignment_id=assignment_id, user=person(request), result=result_posted(config, request.POST),
            submission_id=request.POST.get("submission_id") or None,
            suggestion_id=whole_number(suggestion, 0) if suggestion else None,
        )
    except ValidationFailed as error:
        view = task_view(
            access.access_assignment(person(request), assignment_id), values=values_posted(config, request.POST),
            submission_id=request.POST.get("submission_id", ""), error=error.message, error_field=error.field,
        )
        return _page(request, project, view, status=error.status)
    except Conflict as error:
        messages.error(request, error.message)
    return redirect("annotation:workbench", slug=project.slug)


def _fragment(request: HttpRequest, project: Project, assignment: Assignment | None) -> HttpResponse:
    if assignment is None:
        return render(request, "annotation/_nothing.html", _empty(request, project, None))
    return render(request, "annotation/_task.html", {"view": task_view(assignment), "project": project})


@login_required
@require_POST
def task_fragment(request: HttpRequest, slug: str) -> HttpResponse:
    """The task to work on now, as the part of the page that is swapped."""
    project = access.access_project(person(request), slug, access.ANNOTATE)
    return _fragment(request, project, services.task_next(project=project, user=person(request)))


@login_required
@require_POST
def ahead_fragment(request: HttpRequest, slug: str) -> HttpResponse:
    """The task after the current one, leased ahead; 204 when there is none."""
    project = access.access_project(person(request), slug, access.ANNOTATE)
    assignment = services.task_peek(
        project=project, user=person(request), current_id=whole_number(request.POST.get("current"), 0)
    )
    return HttpResponse(status=204) if assignment is None else _fragment(request, project, assignment)


@login_required
@require_POST
def open_fragment(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """One's own earlier task, taken up again."""
    project = access.access_project(person(request), slug, access.ANNOTATE)
    return _fragment(request, project, services.assignment_open(user=person(request), assignment_id=pk))


@login_required
@require_POST
def undo(request: HttpRequest, slug: str) -> HttpResponse:
    """Take the last answer or flag back; what was typed is the draft again."""
    project = access.access_project(person(request), slug, access.ANNOTATE)
    if request.headers.get("X-Requested-With") == "workbench":
        return _undone(request, project, services.work_undo(project=project, user=person(request)))
    try:
        undone = services.work_undo(project=project, user=person(request))
    except UserError as error:
        messages.error(request, error.message)
        return redirect("annotation:workbench", slug=slug)
    messages.success(request, undone.message)
    address = reverse("annotation:workbench", args=[slug])
    return redirect(f"{address}?assignment={undone.assignment.pk}" if undone.assignment else address)


def _undone(request: HttpRequest, project: Project, undone: services.Undone) -> HttpResponse:
    """The task again, or the next one when it is not to be had; the headers say what was taken back."""
    assignment = undone.assignment or services.task_next(project=project, user=person(request))
    response = _fragment(request, project, assignment)
    response["X-Undone"], response["X-Message"] = undone.kind, quote(undone.message)
    return response


@login_required
@require_http_methods(["GET", "POST"])
def skip(request: HttpRequest, slug: str, pk: int) -> HttpResponse:
    """Skip a task with a reason: the page behind the dialog, for browsers without scripts."""
    project = access.access_project(person(request), slug, access.ANNOTATE)
    assignment = access.access_assignment(person(request), pk)
    if request.method == "GET":
        return render(request, "annotation/skip.html",
                      {"project": project, "assignment": assignment, "skip_reasons": SKIP_REASONS})
    reason = request.POST.get("other", "").strip() or request.POST.get("reason", "")
    try:
        services.task_skip(assignment_id=pk, user=person(request), reason=reason)
    except ValidationFailed as error:
        return render(request, "annotation/skip.html",
                      {"project": project, "assignment": assignment, "skip_reasons": SKIP_REASONS, "error": error},
                      status=400)
    except Conflict as error:
        messages.error(request, error.message)
    return redirect("annotation:workbench", slug=slug)


@login_required
@require_POST
def unskip(request: HttpRequest, slug: str) -> HttpResponse:
    """Make the tasks one skipped available to oneself again."""
    project = access.access_project(person(request), slug, access.ANNOTATE)
    count = services.skips_restore(project=project, user=person(request))
    messages.success(request, f"{count} skipped task{'' if count == 1 else 's'} can be given to you again.")
    return redirect("annotation:workbench", slug=slug)


@login_required
@require_GET
def mine(request: HttpRequest, slug: str) -> HttpResponse:
    """One's own work in a project: drafts, answers, skipped and sent back."""
    project = access.access_project(person(request), slug, access.ANNOTATE)
    status = request.GET.get("status", "")
    status = status if status in Assignment.Status.values else ""
    page = keyset_page(selectors.own_work(project=project, user=person(request), status=status), request.GET)
    return render(request, "annotation/mine.html", {
        "project": project, "page": page, "status": status, "statuses": Assignment.Status.choices,
        "answers": selectors.answers_by_task(person(request), [row.task_id for row in page.rows]),
        "flags": selectors.flags_by_task(person(request), [row.task_id for row in page.rows]),
    })
