"""The answers behind the counts of what annotators did with suggestions."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from annotation.models import Annotation
from annotation.stats import USES
from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.core.paging import keyset_page
from flywheel.core.permissions import STEWARDS
from flywheel.dashboard import selectors

USE_WORDS = [(use, Annotation.SuggestionUse(use).label) for use in USES]


@permitted("wheel.view")
@require_GET
def listing(request: AuthenticatedRequest) -> HttpResponse:
    """Answers to one origin's suggestions, newest first, of projects that the person sees; the wheel names origins."""
    origin, use = request.GET.get("of", "").strip(), request.GET.get("use", "")
    if not origin:
        return redirect("dashboard:wheel")
    # A use that is not known means all uses, because an old link should still open.
    use = use if use in USES else ""
    page = keyset_page(selectors.answers_to(request.user, origin, use), request.GET)
    return render(request, "dashboard/answers.html", {
        "page": page, "origin": origin, "use": use, "uses": USE_WORDS,
        "model": selectors.model_open(request.user, origin), "everywhere": STEWARDS(request.user),
    })
