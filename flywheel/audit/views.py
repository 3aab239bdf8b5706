"""The ledger page: entries, newest first, and the last verification."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from flywheel.audit.models import LedgerEntry
from flywheel.audit.tables import ENTRIES
from flywheel.audit.verification import OBJECT, ledger_verify_request
from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.work.models import Job


@require_GET
@permitted("ledger.view")
def ledger(request: AuthenticatedRequest) -> HttpResponse:
    """Entries, newest first, and the result of the last verification."""
    verifications = Job.objects.filter(object_ref=OBJECT, visible=True).select_related("requested_by")
    return render(request, "audit/ledger.html", {
        "table": ENTRIES.page(request, LedgerEntry.objects.all()), "jobs": verifications.order_by("-pk")[:1],
    })


@require_POST
@permitted("ledger.verify")
def verify(request: AuthenticatedRequest) -> HttpResponse:
    """Request a verification of the chain."""
    ledger_verify_request(by=request.user)
    return redirect("audit:ledger")
