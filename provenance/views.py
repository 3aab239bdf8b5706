"""The steward's pages of people: their consent, their records, their withdrawals. Reads here, changes in services."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.core.paging import keyset_page
from provenance import access, selectors
from provenance.models import Subject, Withdrawal


@require_GET
@permitted("subject.view")
def subjects(request: AuthenticatedRequest) -> HttpResponse:
    """Find a person by what their source calls them; and the latest withdrawals."""
    text = request.GET.get("q", "").strip()[:300]
    page = keyset_page(_subjects_like(text), request.GET)
    return render(request, "provenance/subjects.html", {
        "page": page, "q": text,
        "withdrawals": Withdrawal.objects.select_related("subject").order_by("-pk")[:10],
    })


def _subjects_like(text: str) -> QuerySet[Subject]:
    if not text:
        return Subject.objects.all()
    try:
        return Subject.objects.filter(uid=UUID(text))
    except ValueError:
        # By the beginning only, because an index serves that; `contains` reads the table of all persons.
        found = Q(external_ref__startswith=text)
        namespace, _, rest = text.partition("/")
        if rest:
            found |= Q(namespace=namespace, external_ref__startswith=rest)
        return Subject.objects.filter(found)


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
@permitted("withdrawal.view")
def withdrawal_page(request: AuthenticatedRequest, uid: UUID) -> HttpResponse:
    """The receipt: what the walk has reached so far, and whether it has ended."""
    withdrawal = access.withdrawal_of(uid)
    return render(request, "provenance/withdrawal.html", {
        "withdrawal": withdrawal, "sections": selectors.receipt_sections(withdrawal.receipt),
    })
