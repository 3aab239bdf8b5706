"""Long jobs: the list, one row that refreshes itself, and cancelling."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from flywheel.core.errors import NotFound
from flywheel.core.models import User
from flywheel.core.paging import keyset_page
from flywheel.dashboard import selectors
from flywheel.work.jobs import job_cancel
from flywheel.work.models import Job


@login_required
@require_GET
def listing(request: HttpRequest) -> HttpResponse:
    """Jobs that the person may see, newest first."""
    search, status = request.GET.get("q", "").strip(), request.GET.get("status", "")
    jobs = selectors.jobs_for(cast(User, request.user))
    if search:
        jobs = jobs.filter(title__icontains=search)
    if status:
        jobs = jobs.filter(status=status)
    page = keyset_page(jobs, request.GET, per_page=30)
    context = {"page": page, "q": search, "status": status, "statuses": Job.Status.choices}
    return render(request, "dashboard/jobs.html", context)


def _job(request: HttpRequest, uid: UUID) -> Job:
    job = selectors.jobs_for(cast(User, request.user)).filter(uid=uid).first()
    if job is None:
        raise NotFound(f"there is no job {uid} that is open to you")
    return job


@login_required
@require_GET
def row(request: HttpRequest, uid: UUID) -> HttpResponse:
    """One job: its row alone for HTMX, a page otherwise."""
    job = _job(request, uid)
    template = "components/job.html" if request.headers.get("HX-Request") else "dashboard/job.html"
    return render(request, template, {"job": job})


@login_required
@require_POST
def cancel(request: HttpRequest, uid: UUID) -> HttpResponse:
    """Ask a job to stop at its next step."""
    job_cancel(job_uid=str(_job(request, uid).uid))
    if request.headers.get("HX-Request"):
        return render(request, "components/job.html", {"job": _job(request, uid)})
    return redirect(request.POST.get("next", "") if request.POST.get("next") == "/" else "dashboard:jobs")
