"""The lists of examples, deliveries and sources."""

from __future__ import annotations

from django.db.models import Q

from flywheel.capture.models import Capture, Example, Source
from flywheel.ui.tables import Column, Facet, Search, Table, View, begins, holds


def _in_any_source(text: str) -> Q:
    # The only index on a delivery's id begins with the source. Naming every source, which are few, lets it be used.
    return Q(source__in=list(Source.objects.values_list("pk", flat=True)), external_id=text)


EXAMPLES: Table[Example] = Table(
    things="examples",
    columns=(
        Column("conversation", "Conversation", main=True),
        Column("external_id", "External id", shown=False),
        Column("source", "Source"),
        Column("label", "Label"),
        Column("kind", "Kind", shown=False),
        Column("language", "Language", shown=False),
        Column("messages", "Messages", numeric=True),
        Column("occurred", "Occurred", sort="occurred_at"),
        Column("captured", "Captured", sort="pk", shown=False),
        Column("status", "Status"),
    ),
    search=Search("External id", begins("external_id"), "How it begins"),
    facets=(
        Facet("source", "Source", "source__name"),
        Facet("label", "Label", "label", typed=True),
        Facet("kind", "Kind", "kind", Capture.Kind.choices),
        Facet("status", "Status", "status", Example.Status.choices),
        Facet(
            "duplicates", "Duplicates", lambda value: Q(duplicate_of__isnull=value == "no"),
            (("no", "Without duplicates"), ("yes", "Only duplicates")),
        ),
        Facet("language", "Language", "language", typed=True),
        Facet("external_id", "External id", "external_id", linked=True),
        Facet("group", "Near-duplicates of group", "group_key", linked=True),
    ),
    views=(
        View("Without duplicates", "duplicates=no"),
        View("Withdrawn", "status=withdrawn"),
        View("Newest conversations", "sort=-occurred_at"),
    ),
)

DELIVERIES: Table[Capture] = Table(
    things="deliveries",
    columns=(
        Column("delivery", "Delivery", main=True),
        Column("version", "Version", numeric=True),
        Column("source", "Source"),
        Column("kind", "Kind"),
        Column("received", "Received", sort="pk"),
        Column("status", "Status"),
        Column("error", "Error"),
    ),
    search=Search("External id", _in_any_source, "The whole id"),
    facets=(
        Facet("source", "Source", "source__name"),
        Facet("status", "Status", "status", Capture.Status.choices),
        Facet("external_id", "External id", _in_any_source, linked=True),
    ),
    views=(View("Dead letters", "status=dead"), View("Waiting", "status=received")),
)

SOURCES: Table[Source] = Table(
    things="sources",
    columns=(
        Column("name", "Name", sort="name", main=True),
        Column("kind", "Kind", shown=False),
        Column("region", "Region", shown=False),
        Column("owner", "Owner", shown=False),
        Column("licence", "Licence"),
        Column("consent", "Consent"),
        Column("captured", "Captured", numeric=True),
        Column("examples", "Examples", numeric=True),
        Column("duplicates", "Duplicates", numeric=True),
        Column("dead", "Dead letters", numeric=True),
        Column("made", "Made", sort="pk", shown=False),
        Column("status", "Status"),
    ),
    search=Search("Name", holds("name"), "A part of the name"),
    facets=(Facet(
        "active", "Status", lambda value: Q(active=value == "yes"), (("yes", "Takes captures"), ("no", "Switched off")),
    ),),
)
