"""The list of snapshots."""

from __future__ import annotations

from flywheel.datasets.models import Snapshot
from flywheel.ui.tables import Column, Facet, Search, Table, View, holds
from provenance.domain.vocabulary import JUDGED_PURPOSES, PURPOSE_NAMES

SNAPSHOTS: Table[Snapshot] = Table(
    things="snapshots",
    columns=(
        Column("name", "Name", sort="name", main=True),
        Column("project", "Project"),
        Column("purpose", "For"),
        Column("rows", "Rows", numeric=True, sort="row_count"),
        Column("refused", "Kept out", numeric=True),
        Column("root", "Root"),
        Column("status", "Status"),
        Column("frozen", "Frozen", sort="frozen_at"),
        Column("requested", "Requested", sort="pk", shown=False),
        Column("by", "By", shown=False),
    ),
    search=Search("Name", holds("name"), "A part of the name"),
    facets=(
        Facet("status", "Status", "status", Snapshot.Status.choices),
        Facet("project", "Project", "project__slug"),
        Facet("purpose", "Purpose", "purpose", tuple((purpose, PURPOSE_NAMES[purpose]) for purpose in JUDGED_PURPOSES)),
    ),
    views=(View("Tainted", "status=tainted"), View("Largest", "sort=-row_count")),
)
