"""Projects: the list, the dashboard, the settings with live previews, people, and the list of tasks."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from annotation import access, selectors, services
from annotation.domain.labels import TaskData
from annotation.forms import MemberForm, ProjectForm
from annotation.label_config import DEFAULT, label_config_parse
from annotation.models import Membership, Project, Review, Task
from annotation.stats import origins_of, people_of, project_numbers, projects_numbers
from annotation.tables import PROJECTS, TASKS
from annotation.view_models import answer_view, controls_of, documents_of, guidelines_html
from flywheel.core.errors import NotFound, UserError, ValidationFailed
from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.core.models import User
from flywheel.core.permissions import allow
from flywheel.core.text import plain_lines

SAMPLE = TaskData(
    messages=[
        {"role": "customer", "author": "Customer", "at": None, "text": "My kettle leaks. Write to <EMAIL_1>."},
        {"role": "agent", "author": "Agent", "at": None, "text": "Please send it back to us."},
    ],
    target=1, subject="Leaking kettle", label="returns", language="en",
)


@permitted("project.view")
@require_GET
def index(request: AuthenticatedRequest) -> HttpResponse:
    """The projects one may see."""
    table = PROJECTS.page(request, access.projects_of(request.user))
    table.extras = projects_numbers(table.rows)
    return render(request, "annotation/projects.html", {
        "table": table, "may_create": allow("project.create", request.user),
    })


@permitted("project.create")
@require_http_methods(["GET", "POST"])
def create(request: AuthenticatedRequest) -> HttpResponse:
    """Make a project."""
    form = ProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            project = services.project_create(by=request.user, **form.values())
        except ValidationFailed as error:
            _error_into(form, error)
        else:
            messages.success(request, f"'{project.name}' was made; add the people who work in it.")
            return redirect("annotation:settings", slug=project.slug)
    return render(request, "annotation/project_form.html", {"form": form}, status=400 if form.errors else 200)


def _error_into(form: Any, error: UserError) -> None:
    # The service names its own fields, and the form has minutes because people think in them.
    field = {"lease_seconds": "lease_minutes"}.get(error.field, error.field)
    form.add_error(field if field in form.fields else None, error.message)


@permitted("project.read")
@require_GET
def dashboard(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """Is the project on time and good enough."""
    project = access.access_project(request.user, slug, "project.read")
    numbers = project_numbers(project)
    week = numbers.now.get("answers_week", 0)
    waiting = numbers.now.get("tasks_open", 0)
    return render(request, "annotation/dashboard.html", {
        "project": project, "numbers": numbers, "now": numbers.now, "people": people_of(project),
        "origins": origins_of(project), "sources": list(project.sources.order_by("name")),
        # From the last seven days' pace, because a mean over the whole life of a project hides that it has come to a
        # stop.
        "days_left": round(waiting * project.overlap / (week / 7), 1) if week else None,
        "deltas": {name.replace(".", "_"): numbers.change(name) for name in numbers.series}, "tab": "dashboard",
        "may_manage": allow("project.change", request.user, project),
    })


@permitted("project.change")
@require_http_methods(["GET", "POST"])
def settings(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """Guidelines, labels, overlap, lease, sources; people beside."""
    project = access.access_project(request.user, slug, "project.change")
    initial = {
        "name": project.name, "sources": project.sources.all(), "overlap": project.overlap,
        "lease_minutes": max(1, project.lease_seconds // 60), "guidelines": project.guidelines,
        "label_config": project.label_config,
    }
    form = ProjectForm(request.POST or None, initial=initial, new=False)
    if request.method == "POST" and form.is_valid():
        try:
            services.project_change(project=project, by=request.user, **form.values())
        except ValidationFailed as error:
            _error_into(form, error)
        else:
            messages.success(request, "Saved.")
            return redirect("annotation:settings", slug=slug)
    return _settings_page(request, project, form, MemberForm())


def _settings_page(
    request: AuthenticatedRequest, project: Project, form: ProjectForm, member_form: MemberForm
) -> HttpResponse:
    members = Membership.objects.filter(project=project).select_related("user").order_by("user__username", "role")
    known = User.objects.filter(is_active=True).order_by("username").values_list("username", flat=True)
    return render(request, "annotation/settings.html", {
        "project": project, "form": form, "member_form": member_form, "members": members[:500], "known": known[:500],
        "preview": guidelines_html(form["guidelines"].value() or ""), "tab": "settings", "may_manage": True,
        **_config_preview(form["label_config"].value() or ""),
    }, status=400 if form.errors or member_form.errors else 200)


def _config_preview(xml: str) -> dict[str, Any]:
    try:
        config = label_config_parse(xml)
    except ValidationFailed as error:
        return {"config_error": error.message}
    return {"config_controls": controls_of(config, {}), "config_documents": documents_of(config, SAMPLE)}


@permitted("project.preview")
@require_POST
def preview_config(request: AuthenticatedRequest) -> HttpResponse:
    """The controls of a label configuration, or what is wrong with it."""
    context = _config_preview(request.POST.get("label_config", DEFAULT))
    return render(request, "annotation/_config_preview.html", context)


@permitted("project.preview")
@require_POST
def preview_guidelines(request: AuthenticatedRequest) -> HttpResponse:
    """Guidelines as annotators see them."""
    html = guidelines_html(request.POST.get("guidelines", "")[:50_000])
    return render(request, "annotation/_guidelines_preview.html", {"preview": html})


@permitted("project.change")
@require_POST
def pause(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """Pause or resume a project."""
    project = access.access_project(request.user, slug, "project.change")
    archived = request.POST.get("pause") == "1"
    services.project_archive(project=project, by=request.user, archived=archived)
    messages.success(request, "Paused: no task is given out." if archived else "Resumed.")
    return redirect("annotation:dashboard", slug=slug)


@permitted("project.change")
@require_POST
def member_add(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """Give a person a role in the project."""
    project = access.access_project(request.user, slug, "project.change")
    form = MemberForm(request.POST)
    if not form.is_valid():
        initial = ProjectForm(initial={
            "name": project.name, "sources": project.sources.all(), "overlap": project.overlap,
            "lease_minutes": project.lease_seconds // 60, "guidelines": project.guidelines,
            "label_config": project.label_config,
        }, new=False)
        return _settings_page(request, project, initial, form)
    user = form.cleaned_data["username"]
    services.membership_set(project=project, user=user, role=form.cleaned_data["role"], by=request.user)
    messages.success(request, f"{user} is {form.cleaned_data['role']} in '{project.name}'.")
    return redirect("annotation:settings", slug=slug)


@permitted("project.change")
@require_POST
def member_remove(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """Take a role in the project from a person."""
    project = access.access_project(request.user, slug, "project.change")
    user = get_object_or_404(User, username=plain_lines(request.POST.get("username", "")))
    try:
        services.membership_remove(project=project, user=user, role=request.POST.get("role", ""), by=request.user)
    except UserError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"{user} is no longer {request.POST.get('role')} in '{project.name}'.")
    return redirect("annotation:settings", slug=slug)


@permitted("project.read")
@require_GET
def tasks(request: AuthenticatedRequest, slug: str) -> HttpResponse:
    """The project's tasks."""
    project = access.access_project(request.user, slug, "project.read")
    numbers = project_numbers(project)
    sources = project.sources.order_by("name").values_list("name", flat=True)[:200]
    table = TASKS.page(
        request, selectors.tasks_listed(project=project), choices={"source": [(name, name) for name in sources]},
        counts={"state": {state: numbers.now.get(f"tasks_{state}") for state in Task.State.values}},
    )
    return render(request, "annotation/tasks.html", {
        "project": project, "table": table, "numbers": numbers, "tab": "tasks",
        "may_manage": allow("project.change", request.user, project),
    })


@permitted("project.read")
@require_GET
def task_detail(request: AuthenticatedRequest, slug: str, pk: int) -> HttpResponse:
    """One task: its conversation, who held it, every answer and review."""
    project = access.access_project(request.user, slug, "project.read")
    task = Task.objects.filter(project=project, pk=pk).select_related("example").first()
    if task is None:
        raise NotFound(f"task {pk} is not in '{project.name}'")
    answers = task.annotations.select_related("author", "suggestion").order_by("pk")
    return render(request, "annotation/task.html", {
        "project": project, "task": task, "data": selectors.task_data(task.example),
        "answers": [answer_view(answer, project) for answer in answers],
        "assignments": task.assignments.select_related("user").order_by("pk"), "tab": "tasks",
        "reviews": Review.objects.filter(task=task).select_related("reviewer").order_by("pk"),
        "reasons": selectors.quality_reasons(task), "may_manage": allow("project.change", request.user, project),
        "flags": selectors.flags_of(task),
        "may_decide": allow("task.review", request.user, project),
    })
