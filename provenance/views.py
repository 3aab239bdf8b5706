"""The steward's pages: clearance, records, subjects, withdrawals, the ledger. Reads here, changes in services."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from flywheel.core.errors import NotFound
from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.core.paging import keyset_page
from provenance import access, reach, selectors, services
from provenance.domain.gate import RULES
from provenance.domain.vocabulary import PURPOSE_NAMES, PURPOSES
from provenance.forms import WithdrawForm
from provenance.models import GateReason, GateVerdict, ProvenanceRecord, Subject, Withdrawal
from provenance.settings import judged_regions
from provenance.tables import SUBJECTS

OUTCOMES = {"cleared": "Cleared", "refused": "Refused"}
STAGES = {selectors.CAPTURED: "Captured"}


# -- clearance ---------------------------------------------------------------------------------------------------------
@require_GET
@permitted("clearance.view")
def clearance(request: AuthenticatedRequest) -> HttpResponse:
    """The funnel from captured to cleared, and what keeps the rest out."""
    purpose, region = access.purpose_and_region(request.GET)
    if rule := request.GET.get("rule"):
        _rule_check(rule)
        return redirect(f"{reverse('provenance:clearance_list', args=[purpose, rule])}?{urlencode({'region': region})}")
    counts = selectors.clearance_counts(purpose, region)
    return render(request, "provenance/clearance.html", {
        **_selection(purpose, region), "counts": counts, "rules": [(r, RULES[r], n) for r, n in counts.rules],
    })


def _selection(purpose: str, region: str) -> dict[str, Any]:
    kept = judged_regions()
    return {
        "purpose": purpose, "region": region, "purposes": [(p, PURPOSE_NAMES[p]) for p in PURPOSES],
        "purpose_name": PURPOSE_NAMES[purpose], "regions": kept if region in kept else [*kept, region],
    }


@require_GET
@permitted("clearance.view")
def clearance_list(request: AuthenticatedRequest, purpose: str, rule: str) -> HttpResponse:
    """The records behind one count: a stage of the funnel, cleared, refused, or refused by one rule."""
    purpose, region = access.purpose_and_region({**request.GET.dict(), "purpose": purpose})  # type: ignore[dict-item]
    _rule_check(rule)
    page = keyset_page(_behind(purpose, region, rule), request.GET)
    return render(request, "provenance/clearance_list.html", {
        **_selection(purpose, region), "page": page, "rows": _judged(page.rows, purpose, region), "rule": rule,
        "title": (OUTCOMES | STAGES | reach.stage_titles() | RULES)[rule],
    })


def _judged(found: list[Any], purpose: str, region: str) -> list[tuple[ProvenanceRecord, GateVerdict | None]]:
    """Each record with the verdict on it, None while it waits to be judged."""
    if found and isinstance(found[0], ProvenanceRecord):
        verdicts = selectors.verdicts_of(found, purpose, region)
        return [(record, verdicts.get(record.pk)) for record in found]
    return [(v.record, v) for v in (row.verdict if isinstance(row, GateReason) else row for row in found)]


def _rule_check(rule: str) -> None:
    if rule not in OUTCOMES | STAGES | reach.stage_titles() | RULES:
        raise NotFound(f"there is no list '{rule[:60]}'; open clearance for the list")


def _behind(purpose: str, region: str, rule: str) -> QuerySet[Any]:
    if rule in STAGES | reach.stage_titles():
        return selectors.stage_of(rule, purpose, region)
    if rule in OUTCOMES:
        return GateVerdict.objects.filter(
            purpose=purpose, region=region, cleared=rule == "cleared"
        ).select_related("record")
    return GateReason.objects.filter(purpose=purpose, region=region, rule=rule).select_related("verdict__record")


# -- records -----------------------------------------------------------------------------------------------------------
@require_GET
@permitted("record.view")
def record_page(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """What is known of one record, what the gate says of it, and what a steward may decide."""
    record = access.record_of(uid)
    verdicts = [
        (PURPOSE_NAMES[purpose], region, services.gate_judge([record.pk], purpose=purpose, region=region)[record.pk])
        for purpose in PURPOSES for region in judged_regions()
    ]
    return render(request, "provenance/record.html", {
        "record": record, "verdicts": verdicts, "subjects": record.subjects.order_by("pk")[:50],
        "reviews": record.steward_reviews.select_related("by").order_by("-pk")[:50],
        "can_clear": record.personal_data in ("present", "unknown"), "example_url": reach.example_link(record.uid),
    })


DECISIONS = {
    "quarantine": (services.steward_quarantine, "In quarantine: it will not teach until it is released."),
    "release": (services.steward_release, "Released; the gate has been asked again."),
    "clear_personal_data": (services.steward_clear_personal_data, "The use of its personal data is cleared."),
}


@require_POST
@permitted("record.decide")
def record_decide(request: AuthenticatedRequest, uid: UUID, decision: str) -> HttpResponse:
    """Carry out a steward's decision."""
    if decision not in DECISIONS:
        raise NotFound(f"there is no decision '{decision}'")
    service, sentence = DECISIONS[decision]
    service(record=access.record_of(uid), reason=request.POST.get("reason", ""), by=request.user)
    messages.success(request, sentence)
    return redirect("provenance:record", uid)


# -- subjects and withdrawal -------------------------------------------------------------------------------------------
@require_GET
@permitted("subject.view")
def subjects(request: AuthenticatedRequest) -> HttpResponse:
    """Find a person by what their source calls them; and the latest withdrawals."""
    return render(request, "provenance/subjects.html", {
        "table": SUBJECTS.page(request, Subject.objects.all()),
        "withdrawals": Withdrawal.objects.select_related("subject").order_by("-pk")[:10],
    })


@require_GET
@permitted("subject.view")
def subject_page(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """A person's consent history, records and withdrawals."""
    subject = access.subject_of(uid)
    consents = list(subject.consents.prefetch_related("events").order_by("-pk")[:50])
    return render(request, "provenance/subject.html", {
        "subject": subject, "consents": consents, "standings": selectors.standings_of(subject),
        "withdrawals": subject.withdrawals.order_by("-pk")[:20],
        "bases": subject.bases.order_by("-pk")[:20],
        "page": keyset_page(subject.records.all(), request.GET, per_page=20),
    })


@require_GET
@permitted("subject.view")
def subject_reach(request: AuthenticatedRequest, uid: UUID, name: str) -> HttpResponse:
    """One person's things of a kind that a withdrawal would reach."""
    subject = access.subject_of(uid)
    found = reach.rows_of(name, subject.uid)
    if found is None:
        raise NotFound(f"there is no list of {name[:40]!r}")
    rows, shown = found
    page = keyset_page(rows, request.GET)
    return render(request, "provenance/subject_reach.html", {
        "subject": subject, "name": name, "page": page, "rows": [shown(row) for row in page.rows],
    })


@require_http_methods(["GET", "POST"])
@permitted("subject.withdraw")
def subject_withdraw(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """Say what a withdrawal will reach; do it once that is confirmed by typing."""
    subject = access.subject_of(uid)
    form = WithdrawForm(request.POST or None, initial={"purposes": list(PURPOSES)})
    if request.method == "POST" and form.is_valid():
        if form.cleaned_data["confirm"].strip() == str(subject):
            withdrawal, made = services.withdrawal_ensure(
                subject=subject, by=request.user, purposes=form.cleaned_data["purposes"],
                reason=form.cleaned_data["reason"],
            )
            if made:
                messages.success(request, "Withdrawn: from now on no gate clears this person's records.")
            else:
                messages.info(request, "This was withdrawn already; nothing changed. Here is the receipt of then.")
            return redirect("provenance:withdrawal", withdrawal.uid)
        form.add_error("confirm", f"Type {subject} to confirm; nothing was changed.")
    return render(request, "provenance/subject_withdraw.html", {
        "subject": subject, "form": form, "preview": selectors.reach_preview(subject),
    }, status=200 if request.method == "GET" else 422)


@require_GET
@permitted("withdrawal.view")
def withdrawal_page(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """The receipt: what the walk has reached so far, and whether it has ended."""
    withdrawal = access.withdrawal_of(uid)
    return render(request, "provenance/withdrawal.html", {
        "withdrawal": withdrawal, "sections": selectors.receipt_sections(withdrawal.receipt),
    })
