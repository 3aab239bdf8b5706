"""Pages of capture: sources with their terms, imports and dead letters; the list of examples."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from flywheel.capture import access, selectors, services
from flywheel.capture.forms import SourceForm
from flywheel.capture.models import Capture, Example, Source, SourcePull
from flywheel.capture.stats import source_scope
from flywheel.capture.tables import DELIVERIES, EXAMPLES, SOURCES
from flywheel.core.errors import UserError
from flywheel.core.http import AuthenticatedRequest, back_address, permitted
from flywheel.core.paging import keyset_page
from flywheel.core.permissions import allow
from flywheel.core.text import whole_number
from flywheel.stats.series import gauges_of, gauges_read
from flywheel.ui.tables import BulkAct


@require_GET
@permitted("source.view")
def source_list(request: AuthenticatedRequest) -> HttpResponse:
    """All sources with what came from them."""
    table = SOURCES.page(request, Source.objects.select_related("owner"))
    counts = gauges_read(source_scope(source.name) for source in table.rows)
    table.extras = {source.pk: counts[source_scope(source.name)] for source in table.rows}
    return render(request, "capture/sources.html", {
        "table": table, "may_change": allow("source.change", request.user),
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
    acts = [BulkAct("Try again", reverse("capture:deliveries_replay"), lambda capture: capture.status == "dead")]
    table = DELIVERIES.page(
        request, Capture.objects.select_related("source").defer("payload"), choices={"source": _source_choices()},
        acts=acts if allow("capture.replay", request.user) else (),
    )
    return render(request, "capture/deliveries.html", {"table": table, "source": table.chosen.get("source", "")})


@require_POST
@permitted("capture.replay")
def deliveries_replay(request: AuthenticatedRequest) -> HttpResponse:
    """Try the selected dead letters again."""
    keys = [pk for text in request.POST.getlist("pk")[:100] if (pk := whole_number(text)) is not None]
    replayed, refused = 0, []
    for capture in Capture.objects.filter(pk__in=keys).select_related("source").order_by("pk"):
        try:
            services.capture_replay(capture=capture, by=request.user)
            replayed += 1
        except UserError as error:
            refused.append(error.message)
    if replayed:
        messages.success(request, f"{replayed} {'delivery is' if replayed == 1 else 'deliveries are'} tried again.")
    for message in refused[:5]:
        messages.error(request, message)
    if not keys:
        messages.error(request, "No delivery was selected; tick at least one row.")
    return redirect(back_address(request, reverse("capture:deliveries")))


def _source_choices() -> list[tuple[str, str]]:
    return [(name, name) for name in Source.objects.order_by("name").values_list("name", flat=True)[:200]]


@require_GET
@permitted("example.view")
def example_list(request: AuthenticatedRequest) -> HttpResponse:
    """Examples, filtered."""
    rows = Example.objects.select_related("source").defer("conversation", "pii")
    table = EXAMPLES.page(request, rows, choices={"source": _source_choices()})
    return render(request, "capture/examples.html", {"table": table})
