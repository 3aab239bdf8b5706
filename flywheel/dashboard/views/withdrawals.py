"""A withdrawal of consent before it is made: what it will reach in every app, the lists of it, and the confirmation."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from flywheel.core.errors import NotFound
from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.core.paging import keyset_page
from flywheel.dashboard import reach
from flywheel.dashboard.forms import WithdrawForm
from provenance import access, services
from provenance.domain.vocabulary import PURPOSES


@require_GET
@permitted("subject.view")
def subject_reach(request: AuthenticatedRequest, uid: UUID, name: str) -> HttpResponse:
    """One person's things of a kind that a withdrawal would reach."""
    subject = access.subject_of(uid)
    if name not in reach.ROWS:
        raise NotFound(f"list {name[:40]!r} does not exist; open the person's withdrawal for the lists")
    rows, shown = reach.ROWS[name]
    page = keyset_page(rows(subject.uid), request.GET)
    return render(request, "dashboard/subject_reach.html", {
        "subject": subject, "name": name, "page": page, "rows": [shown(row) for row in page.rows],
    })


@require_http_methods(["GET", "POST"])
@permitted("subject.withdraw")
def subject_withdraw(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """Say what a withdrawal will reach; do it once that is confirmed by typing."""
    subject = access.subject_of(uid)
    form = WithdrawForm(request.POST or None, initial={"purposes": list(PURPOSES)})
    if request.method == "POST" and form.is_valid():
        # The name is typed because a withdrawal cannot be undone: only a new consent of the person clears again.
        if form.cleaned_data["confirm"].strip() == str(subject):
            withdrawal, made = services.withdrawal_ensure(
                subject=subject, by=request.user, purposes=form.cleaned_data["purposes"],
                reason=form.cleaned_data["reason"],
            )
            # A second request is not an error: the duty is fulfilled already, and the receipt of the first one proves
            # it.
            if made:
                messages.success(request, "Withdrawn: from now on no gate clears this person's records.")
            else:
                messages.info(request, "This was withdrawn already; nothing changed. Here is the receipt of then.")
            # A redirect after the change, so that reloading the page does not send the form again.
            return redirect("provenance:withdrawal", withdrawal.uid)
        form.add_error("confirm", f"Type {subject} to confirm; nothing was changed.")
    return render(request, "dashboard/subject_withdraw.html", {
        "subject": subject, "form": form, "preview": reach.reach_preview(subject),
    # A refused form is 422, which programs can distinguish from a page that was only opened.
    }, status=200 if request.method == "GET" else 422)
