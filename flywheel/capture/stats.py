"""Counting deliveries and examples of each source."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Count

from flywheel.capture.models import Capture, Example, Source
from flywheel.stats.registry import Counted, counter


def source_scope(name: str) -> str:
    """The scope of one source; its gauges are `captured, waiting, dead, examples, duplicates`."""
    return f"source:{name}"


@counter("capture.sources")
def sources_count(now: datetime) -> Counted:
    """What came from each source, and what became of it."""
    scopes = {pk: source_scope(name) for pk, name in Source.objects.values_list("pk", "name")}
    names = ("captured", "waiting", "dead", "examples", "duplicates")
    found: dict[str, dict[str, float]] = {scope: dict.fromkeys(names, 0.0) for scope in scopes.values()}
    for pk, status, count in Capture.objects.order_by().values_list("source", "status").annotate(n=Count("pk")):
        values = found[scopes[pk]]
        values["captured"] += count
        if status == Capture.Status.RECEIVED:
            values["waiting"] = count
        elif status == Capture.Status.DEAD:
            values["dead"] = count
    rows = Example.objects.order_by().values_list("source").annotate(n=Count("pk"), d=Count("duplicate_of"))
    for pk, count, duplicates in rows:
        found[scopes[pk]] |= {"examples": count, "duplicates": duplicates}
    return found
