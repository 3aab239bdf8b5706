"""A provenance record's page, with the example made of it, and a steward's decisions on it."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from flywheel.core.errors import NotFound
from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.dashboard import reach
from provenance import access, services
from provenance.domain.vocabulary import PURPOSE_NAMES, PURPOSES
from provenance.settings import judged_regions


@require_GET
@permitted("record.view")
def page(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """What is known of one record, what the gate says of it, and what a steward may decide."""
    record = access.record_of(uid)
    verdicts = [
        # Asked anew and not read from the kept verdict, because a steward decides on this page by what holds now.
        (PURPOSE_NAMES[purpose], region, services.gate_judge([record.pk], purpose=purpose, region=region)[record.pk])
        for purpose in PURPOSES for region in judged_regions()
    ]
    return render(request, "dashboard/record.html", {
        "record": record, "verdicts": verdicts, "subjects": record.subjects.order_by("pk")[:50],
        "reviews": record.steward_reviews.select_related("by").order_by("-pk")[:50],
        # The service refuses the others too; the button would only lead to an error.
        "can_clear": record.personal_data in ("present", "unknown"), "example_url": reach.example_address(record.uid),
    })


DECISIONS = {
    "quarantine": (services.steward_quarantine, "In quarantine: it will not teach until it is released."),
    "release": (services.steward_release, "Released; the gate has been asked again."),
    "clear_personal_data": (services.steward_clear_personal_data, "The use of its personal data is cleared."),
}


@require_POST
@permitted("record.decide")
def decide(request: AuthenticatedRequest, uid: UUID, decision: str) -> HttpResponse:
    """Carry out a steward's decision."""
    if decision not in DECISIONS:
        # The decision is a part of the address, so an unknown one is a page that does not exist.
        raise NotFound(f"decision '{decision[:60]}' does not exist; choose one of {', '.join(DECISIONS)}")
    service, sentence = DECISIONS[decision]
    service(record=access.record_of(uid), reason=request.POST.get("reason", ""), by=request.user)
    messages.success(request, sentence)
    return redirect("dashboard:record", uid)
