"""One example's whole chain on a page."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from flywheel.core.access import ADMIN, LEAD, REVIEWER, STEWARD, role_required
from flywheel.core.models import User
from flywheel.dashboard import lineage


@role_required(REVIEWER, LEAD, STEWARD, ADMIN)
@require_GET
def page(request: HttpRequest, uid: UUID) -> HttpResponse:
    """The picture from left to right, then each station's details and the ledger's entries."""
    user = cast(User, request.user)
    example = lineage.example_for(user=user, uid=uid)
    found = lineage.lineage_of(example, user=user)
    return render(request, "dashboard/lineage.html", {
        "lineage": found, "example": example, "stations": lineage.stages(found),
    })
