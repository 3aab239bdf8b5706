"""Flags: the page behind the workbench's dialog, the list of what was flagged, and the decisions about it."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation import access, selectors, services
from annotation.models import Flag, Task
from annotation.stats import project_numbers
from flywheel.core.errors import Conflict, NotFound, UserError, ValidationFailed
from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.core.paging import keyset_page
from flywheel.core.permissions import allow


@permitted("task.flag")
@require_http_methods(["GET", "POST"])
def flag(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    """Flag a task one works on or reviews: the page behind the dialog, and the reviewers' way."""
    task = access.access_flaggable(request.user, pk)
    if task.project.slug != slug:
        raise NotFound(f"task {pk} is not in '{slug}'")
    back = _back(request, task)
    context: dict[str, Any] = {
        "project": task.project, "task": task, "flag_reasons": Flag.Reason.choices, "back": back
    }
    if request.method == "GET":
        return render(request, "annotation/flag.html", context)
    try:
        services.task_flag(
            task_id=task.pk, user=request.user, reason=request.POST.get("reason", ""),
            comment=request.POST.get("comment", ""),
        )
    except ValidationFailed as error:
        context |= {"error": error, "comment": request.POST.get("comment", ""), "chosen": request.POST.get("reason")}
        return render(request, "annotation/flag.html", context, status=error.status)
    except Conflict as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"Task {task.pk} is flagged and waits for a lead or reviewer.")
    return redirect(back)


def _back(request: AuthenticatedRequest, task: Task) -> str:
    """Where a person goes on after flagging: where they work."""
    came = request.GET.get("from") or request.POST.get("from")
    if came == "review":
        return f"{reverse('annotation:review', args=[task.project.slug])}?after={task.pk}"
    if came == "task":
        return reverse("annotation:task", args=[task.project.slug, task.pk])
    return reverse("annotation:workbench", args=[task.project.slug])


@permitted("project.read")
@require_GET
def index(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """What was flagged: what waits for a decision, oldest first, or what was decided, newest first."""
    project = access.access_project(request.user, slug, "project.read")
    state, reason = request.GET.get("state", Flag.State.OPEN), request.GET.get("reason", "")
    state = state if state in ("all", *Flag.State.values) else Flag.State.OPEN
    reason = reason if reason in Flag.Reason.values else ""
    listed = selectors.flags_listed(project=project, state="" if state == "all" else state, reason=reason)
    page = keyset_page(listed, request.GET, newest_first=state != Flag.State.OPEN)
    return render(request, "annotation/flags.html", {
        "project": project, "page": page, "state": state, "states": Flag.State.choices, "reason": reason,
        "reasons": Flag.Reason.choices, "numbers": project_numbers(project), "tab": "flags",
        "may_decide": allow("task.review", request.user, project),
        "may_manage": allow("project.change", request.user, project),
    })


@permitted("task.review")
@require_POST
def resolve(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    """Decide about a flagged task."""
    project = access.access_project(request.user, slug, "task.review")
    # Flags are numbered over all projects, and the address names one of them.
    if not Flag.objects.filter(pk=pk, project=project).exists():
        raise NotFound(f"flag {pk} is not in '{project.name}'")
    try:
        made = services.flag_resolve(
            flag_id=pk, by=request.user, decision=request.POST.get("decision", ""),
            note=request.POST.get("note", ""),
        )
    except UserError as error:
        messages.error(request, error.message)
    else:
        done = "goes on where it was" if made.state == Flag.State.RETURNED else "is closed; its page can open it again"
        messages.success(request, f"Task {made.task_id} {done}.")
    # Back to the list with the reason that was filtered by, so that a person can work through one kind of flags.
    chosen = request.POST.get("reason_filter", "")
    address = reverse("annotation:flags", args=[project.slug])
    return redirect(f"{address}?reason={chosen}" if chosen in Flag.Reason.values else address)


@permitted("task.review")
@require_POST
def reopen(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    """Take the closing of a task back."""
    project = access.access_project(request.user, slug, "task.review")
    if not Task.objects.filter(pk=pk, project=project).exists():
        raise NotFound(f"task {pk} is not in '{project.name}'")
    try:
        task = services.task_reopen(task_id=pk, by=request.user)
    except UserError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"Task {pk} is open again: {task.get_state_display().lower()}.")
    return redirect("annotation:task", slug=slug, pk=pk)
