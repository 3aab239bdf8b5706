"""One example's whole chain on a page."""

from __future__ import annotations

from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.dashboard import lineage


@permitted("lineage.view")
@require_GET
def page(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """The picture from left to right, then each station's details and the ledger's entries."""
    user = request.user
    example = lineage.example_for(user=user, uid=uid)
    found = lineage.lineage_of(example, user=user)
    return render(request, "dashboard/lineage.html", {
        "lineage": found, "example": example, "stations": lineage.stages(found),
    })
