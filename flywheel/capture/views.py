"""Pages of capture: sources with their terms, imports and dead letters; the list of examples."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from flywheel.capture import access, selectors, services
from flywheel.capture.forms import DeliveryFilter, ExampleFilter, SourceForm
from flywheel.capture.models import Source, SourcePull
from flywheel.capture.stats import source_scope
from flywheel.core.errors import UserError
from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.core.paging import keyset_page
from flywheel.core.permissions import allow
from flywheel.stats.series import gauges_of, gauges_read


@require_GET
@permitted("source.view")
def source_list(request: AuthenticatedRequest) -> HttpResponse:
    """All sources with what came from them."""
    page = keyset_page(selectors.sources_list(request.GET), request.GET)
    counts = gauges_read(source_scope(source.name) for source in page.rows)
    rows = [(source, counts[source_scope(source.name)]) for source in page.rows]
    return render(request, "capture/sources.html", {
        "page": page, "rows": rows, "q": request.GET.get("q", ""),
        "may_change": allow("source.change", request.user),
        "counted_at": min((found.as_of for found in counts.values() if found.as_of), default=None),
    })


@require_http_methods(["GET", "POST"])
@permitted("source.create")
def source_new(request: AuthenticatedRequest) -> HttpResponse:
    """Create a source."""
    form = SourceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        person = request.user
        try:
            source = services.source_create(name=form.cleaned_data["name"], owner=person, by=person, **form.terms())
        except UserError as error:
            _refused(form, error)
        else:
            messages.success(request, f"Source {source.name} is ready for captures.")
            return redirect("capture:source", source.name)
    return render(request, "capture/source_form.html", {"form": form})


@require_http_methods(["GET", "POST"])
@permitted("source.change")
def source_edit(request: AuthenticatedRequest, name: str) -> HttpResponse:
    """Change a source's terms."""
    source = access.source_get(name)
    form = SourceForm(request.POST or None, instance=source)
    if request.method == "POST" and form.is_valid():
        try:
            services.source_change(source=source, by=request.user, **form.terms())
        except UserError as error:
            _refused(form, error)
        else:
            messages.success(request, f"The terms of {name} are changed.")
            return redirect("capture:source", name)
    return render(request, "capture/source_form.html", {"form": form, "source": source})


def _refused(form: SourceForm, error: UserError) -> None:
    form.add_error(error.field if error.field in form.fields else None, error.message)


@require_GET
@permitted("source.view")
def source_detail(request: AuthenticatedRequest, name: str) -> HttpResponse:
    """One source: its terms, what came, the files, and what could not be read."""
    source = access.source_get(name)
    counts = gauges_of(source_scope(name))
    return render(request, "capture/source.html", {
        "source": source,
        "pull": SourcePull.objects.filter(source=source).first(),
        "counts": counts,
        "counted_at": counts.as_of,
        "imports": selectors.imports_of(source)[:20],
        "dead": keyset_page(selectors.dead_captures(source=source), request.GET, per_page=20),
        "may_change": allow("source.change", request.user),
        "may_replay": allow("capture.replay", request.user),
    })


@require_POST
@permitted("capture.replay")
def capture_replay(request: AuthenticatedRequest, pk: int) -> HttpResponse:
    """Try a dead letter again."""
    capture = access.capture_get(pk)
    try:
        services.capture_replay(capture=capture, by=request.user)
    except UserError as error:
        messages.error(request, error.message)
    else:
        messages.success(request, f"{capture.external_id} is tried again.")
    return redirect("capture:source", capture.source.name)


@require_GET
@permitted("capture.view")
def delivery_list(request: AuthenticatedRequest) -> HttpResponse:
    """What was delivered, with what became of each; behind the counts of a source."""
    return render(request, "capture/deliveries.html", {
        "page": keyset_page(selectors.deliveries_list(request.GET), request.GET), "form": DeliveryFilter(request.GET),
        "filtered": any(request.GET.get(name) for name in ("source", "status", "external_id")),
        "sources": Source.objects.order_by("name").values_list("name", flat=True)[:200],
    })


@require_GET
@permitted("example.view")
def example_list(request: AuthenticatedRequest) -> HttpResponse:
    """Examples, filtered."""
    page = keyset_page(selectors.examples_list(request.GET).defer("conversation", "pii"), request.GET)
    return render(request, "capture/examples.html", {
        "page": page, "form": ExampleFilter(request.GET), "filtered": selectors.is_filtered(request.GET),
        "sources": Source.objects.order_by("name").values_list("name", flat=True)[:200],
    })
