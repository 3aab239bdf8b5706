"""The clearance pages: the funnel from captured to cleared, and the records behind each count."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.core.paging import keyset_page
from flywheel.dashboard import clearance
from provenance import access
from provenance.domain.gate import RULES
from provenance.domain.vocabulary import PURPOSE_NAMES, PURPOSES
from provenance.settings import judged_regions


@require_GET
@permitted("clearance.view")
def page(request: AuthenticatedRequest) -> HttpResponse:
    """The funnel from captured to cleared, and what keeps the rest out."""
    purpose, region = access.purpose_and_region(request.GET)
    if rule := request.GET.get("rule"):
        clearance.list_check(rule)
        return redirect(f"{reverse('dashboard:clearance_list', args=[purpose, rule])}?{urlencode({'region': region})}")
    counts = clearance.clearance_counts(purpose, region)
    return render(request, "dashboard/clearance.html", {
        **_selection(purpose, region), "counts": counts, "rules": [(r, RULES[r], n) for r, n in counts.rules],
    })


@require_GET
@permitted("clearance.view")
def listing(request: AuthenticatedRequest, purpose: str, rule: str) -> HttpResponse:
    """The records behind one count: a stage of the funnel, cleared, refused, or refused by one rule."""
    # The purpose in the path wins over one in the query, so that an address names one list.
    purpose, region = access.purpose_and_region({**request.GET.dict(), "purpose": purpose})  # type: ignore[dict-item]
    clearance.list_check(rule)
    found = keyset_page(clearance.rows_behind(rule, purpose, region), request.GET)
    return render(request, "dashboard/clearance_list.html", {
        **_selection(purpose, region), "page": found, "rows": clearance.rows_judged(found.rows, purpose, region),
        "rule": rule, "title": clearance.LIST_TITLES[rule],
    })


def _selection(purpose: str, region: str) -> dict[str, Any]:
    # An address may name any region. It is added to the choices, or the form would silently select another one.
    kept = judged_regions()
    return {
        "purpose": purpose, "region": region, "purposes": [(p, PURPOSE_NAMES[p]) for p in PURPOSES],
        "purpose_name": PURPOSE_NAMES[purpose], "regions": kept if region in kept else [*kept, region],
    }
