"""Long jobs: the list, one row that refreshes itself, and cancelling."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from flywheel.core.errors import NotFound
from flywheel.core.http import AuthenticatedRequest, is_fragment, permitted
from flywheel.core.paging import keyset_page
from flywheel.dashboard import access
from flywheel.work.jobs import job_cancel
from flywheel.work.models import Job
from flywheel.work.registry import job_kinds


@permitted("job.view")
@require_GET
def listing(request: AuthenticatedRequest) -> HttpResponse:
    """Jobs that the person may see, newest first."""
    search, status, kind = (request.GET.get(name, "").strip() for name in ("q", "status", "kind"))
    jobs = access.jobs_for(request.user)
    if search:
        jobs = jobs.filter(title__icontains=search)
    if status:
        jobs = jobs.filter(status=status)
    if kind:
        jobs = jobs.filter(kind=kind)
    page = keyset_page(jobs, request.GET, per_page=30)
    context = {
        "page": page, "q": search, "status": status, "statuses": Job.Status.choices, "kind": kind,
        "kinds": sorted((found.name, found.title) for found in job_kinds().values() if found.visible),
    }
    return render(request, "dashboard/jobs.html", context)


def _job(request: AuthenticatedRequest, uid: UUID) -> Job:
    # Looked up among the person's own, so a job of others is answered like one that does not exist.
    job = access.jobs_for(request.user).filter(uid=uid).first()
    if job is None:
        raise NotFound(f"job {uid} does not exist, or is not open to you")
    return job


@permitted("job.view")
@require_GET
def row(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """One job: its row alone for a list that refreshes itself, a page otherwise."""
    job = _job(request, uid)
    template = "components/job.html" if is_fragment(request) else "dashboard/job.html"
    return render(request, template, {"job": job})


@permitted("job.view")
@require_POST
def cancel(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """Ask a job to stop at its next step."""
    job_cancel(job_uid=str(_job(request, uid).uid), by=request.user)
    # Only the home page may be named: an open redirect would lend this site's address to another one.
    return redirect(request.POST.get("next", "") if request.POST.get("next") == "/" else "dashboard:jobs")
