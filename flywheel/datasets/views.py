"""Pages of snapshots: list, new, one snapshot with its rows and refusals, downloads."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from flywheel.core.errors import ValidationFailed
from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.core.paging import keyset_page
from flywheel.core.permissions import allow
from flywheel.datasets import access, selectors, services
from flywheel.datasets.downloads import export_response, file_response
from flywheel.datasets.exports import EXPORTS
from flywheel.datasets.forms import SnapshotForm
from flywheel.datasets.models import Snapshot
from flywheel.datasets.refusal_text import RULE_NAMES, missing_sentence
from flywheel.datasets.tables import SNAPSHOTS
from flywheel.stats.series import gauges_read
from provenance.access import subject_asked
from provenance.domain.vocabulary import JUDGED_PURPOSES, PURPOSE_NAMES
from provenance.settings import judged_regions
from provenance.stats import gate_scope


@require_GET
@permitted("snapshot.view")
def index(request: AuthenticatedRequest) -> HttpResponse:
    """Snapshots, newest first."""
    snapshots = access.snapshots_for(request.user).select_related("requested_by")
    if subject := subject_asked(request.user, request.GET):
        snapshots = selectors.holding(snapshots, subject.uid)
    projects = access.projects_for(request.user).order_by("name").values_list("slug", "name")[:200]
    table = SNAPSHOTS.page(request, snapshots, choices={"project": list(projects)}, scope=("subject",))
    return render(request, "datasets/snapshots.html", {"table": table, "subject": subject})


@require_http_methods(["GET", "POST"])
@permitted("snapshot.request")
def create(request: AuthenticatedRequest) -> HttpResponse:
    """Ask for a snapshot; shows beside it how many rows are ready."""
    projects = access.projects_for(request.user).filter(archived_at=None).order_by("name")
    form = SnapshotForm(request.POST or None, projects=projects, initial={"project": request.GET.get("project")})
    if request.method == "POST" and form.is_valid():
        try:
            snapshot = services.snapshot_request(by=request.user, **form.request_fields())
            return redirect("datasets:snapshot", snapshot.uid)
        except ValidationFailed as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
    return render(request, "datasets/snapshot_new.html", {
        "form": form, "projects": projects, **_estimate(list(projects[:50])),
    }, status=422 if request.method == "POST" else 200)


def _estimate(projects: list[Any]) -> dict[str, Any]:
    """Rows that are settled and cleared now, by project and purpose, as a job counted them."""
    region = judged_regions()[0]
    scopes = {purpose: gate_scope(purpose, region) for purpose in JUDGED_PURPOSES}
    gauges = gauges_read(scopes.values(), prefix="settled")

    def ready(purpose: str, project: Any) -> int:
        return gauges[scopes[purpose]].get(f"settled_cleared.{project.pk}") or 0

    def by_purpose(project: Any) -> list[tuple[str, int]]:
        return [(PURPOSE_NAMES[purpose], ready(purpose, project)) for purpose in JUDGED_PURPOSES]

    return {
        "estimate": [(project, by_purpose(project)) for project in projects],
        "estimate_region": region,
        "counted_at": max((found.as_of for found in gauges.values() if found.as_of), default=None),
    }


@require_GET
@permitted("snapshot.view")
def detail(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """One snapshot: what it is, what was kept out, and its files."""
    snapshot = access.snapshot_of(request.user, uid)
    statistics = (snapshot.manifest.get("token_statistics") or {}).get("splits", {})
    files = snapshot.manifest.get("splits", {})
    return render(request, "datasets/snapshot.html", {
        "snapshot": snapshot, "purpose_name": PURPOSE_NAMES.get(snapshot.purpose, snapshot.purpose),
        "splits": [(split, entry, statistics.get(split, {})) for split, entry in files.items()],
        "exports": EXPORTS,
        "refusals": sorted(
            ((rule, RULE_NAMES.get(rule, rule), n) for rule, n in snapshot.refused_counts.items()),
            key=lambda item: -item[2],
        ),
        "ended": snapshot.status == Snapshot.Status.FROZEN and bool(selectors.unusable(snapshot)),
        "missing": missing_sentence(rows=snapshot.row_count, shares=snapshot.shares, splits=snapshot.split_counts),
        "refused_total": sum(snapshot.refused_counts.values()), "may_train": allow("run.request", request.user),
        "tainted_rows": selectors.tainted_count(snapshot) if snapshot.status == Snapshot.Status.TAINTED else 0,
    })


@require_GET
@permitted("snapshot.view")
def rows(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """The snapshot's rows, by split or only the tainted ones."""
    snapshot = access.snapshot_of(request.user, uid)
    found, split = selectors.rows_of(snapshot), request.GET.get("split", "")
    if split in snapshot.split_counts:
        found = found.filter(split=split)
    if request.GET.get("tainted"):
        found = found.filter(tainted_at__isnull=False)
    return render(request, "datasets/snapshot_rows.html", {
        "snapshot": snapshot, "page": keyset_page(found, request.GET, newest_first=False), "split": split,
        "tainted": bool(request.GET.get("tainted")), "splits": list(snapshot.split_counts),
    })


@require_GET
@permitted("snapshot.view")
def refusals(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """What the gates kept out of the snapshot, all or by the first rule."""
    snapshot, rule = access.snapshot_of(request.user, uid), request.GET.get("rule", "")
    return render(request, "datasets/snapshot_refusals.html", {
        "snapshot": snapshot, "page": keyset_page(selectors.refusals_of(snapshot, rule), request.GET), "rule": rule,
        "rules": [(r, RULE_NAMES.get(r, r), n) for r, n in snapshot.refused_counts.items()],
        "rule_name": RULE_NAMES.get(rule, rule),
    })


@require_GET
@permitted("snapshot.view")
def download(request: AuthenticatedRequest, uid: UUID, name: str) -> HttpResponseBase:
    """A file of the snapshot for a signed-in person."""
    return file_response(access.snapshot_of(request.user, uid), name)


@require_GET
@permitted("snapshot.view")
def export(request: AuthenticatedRequest, uid: UUID, export: str, split: str) -> HttpResponseBase:
    """A split in one of the export formats for a signed-in person."""
    return export_response(access.snapshot_of(request.user, uid), export, split)
