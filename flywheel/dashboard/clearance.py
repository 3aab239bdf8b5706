"""The clearance pages' numbers and lists: how many records got to each stage, and which records these are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from flywheel.core.errors import NotFound
from flywheel.datasets.selectors import STAGES
from flywheel.stats.series import gauges_read
from provenance.domain.gate import RULES
from provenance.models import GateReason, GateVerdict, ProvenanceRecord
from provenance.stats import gate_scope

CAPTURED = "captured"
OUTCOMES = {"cleared": "Cleared", "refused": "Refused"}
STAGE_TITLES = {CAPTURED: "Captured"} | {name: title for name, (title, _) in STAGES.items()}
LIST_TITLES = OUTCOMES | STAGE_TITLES | RULES
"""Every list of records behind a count, by the name in its address."""


@dataclass(frozen=True, slots=True)
class ClearanceCounts:
    """The funnel of one purpose and region in records, counted by jobs.

    stages: (name, title, records) from "captured" on; None where a stage was not counted yet. rules: (rule, records)
    for rules that refuse something, largest first. judged: whether verdicts are kept for this purpose and region.
    """

    stages: list[tuple[str, str, int | None]]
    cleared: int
    refused: int
    rules: list[tuple[str, int]]
    judged: bool
    counted_at: datetime | None
    spark: dict[str, list[float | None]] = field(default_factory=dict)

    @property
    def captured(self) -> int:
        """All records."""
        return self.stages[0][2] or 0


def clearance_counts(purpose: str, region: str) -> ClearanceCounts:
    """The funnel from gauges, because counting rows in a request grows with the data."""
    # The count of all records is the same for every purpose and region, so it has its own scope.
    scope = gate_scope(purpose, region)
    found = gauges_read([scope, "gate"])
    gate, captured = found[scope], found["gate"]
    rules = [(rule, gate.get(f"rule.{rule}") or 0) for rule in RULES]
    return ClearanceCounts(
        stages=[
            (CAPTURED, STAGE_TITLES[CAPTURED], captured.get("records") or 0),
            *((name, title, gate.get(f"stage.{name}")) for name, (title, _) in STAGES.items()),
        ],
        cleared=gate.get("cleared") or 0, refused=gate.get("refused") or 0,
        # A pair that is not judged has no gauge "cleared" at all; a judged pair that clears nothing has 0.
        rules=sorted((r for r in rules if r[1]), key=lambda r: -r[1]), judged=gate.get("cleared") is not None,
        counted_at=gate.as_of or captured.as_of, spark=gate.spark,
    )


def list_check(name: str) -> None:
    """Raise NotFound when no count opens into a list of this name."""
    if name not in LIST_TITLES:
        # The name comes from the address and may be of any length, so the message repeats only its beginning.
        raise NotFound(f"list '{name[:60]}' does not exist; open clearance to choose one")


def rows_behind(name: str, purpose: str, region: str) -> QuerySet[Any]:
    """The rows behind one count: records of a stage, verdicts of an outcome, or reasons of a rule."""
    if name == CAPTURED:
        return ProvenanceRecord.objects.all()
    # The same querysets make the counts, so a list always has as many rows as the number that links to it.
    if name in STAGES:
        return STAGES[name][1](purpose, region)
    if name in OUTCOMES:
        return GateVerdict.objects.filter(
            purpose=purpose, region=region, cleared=name == "cleared"
        ).select_related("record")
    return GateReason.objects.filter(purpose=purpose, region=region, rule=name).select_related("verdict__record")


def rows_judged(
    rows: Sequence[Any], purpose: str, region: str
) -> list[tuple[ProvenanceRecord, GateVerdict | None]]:
    """Each of these rows' records with the verdict on it, None while it waits to be judged."""
    # Verdicts of the whole page are one query, because a query per row would make 50 of them.
    if rows and isinstance(rows[0], ProvenanceRecord):
        found = GateVerdict.objects.filter(record__in=rows, purpose=purpose, region=region)
        verdicts = {verdict.record_id: verdict for verdict in found}
        return [(record, verdicts.get(record.pk)) for record in rows]
    # A reason and its verdict were selected together with the record, so nothing more is read here.
    return [(v.record, v) for v in (row.verdict if isinstance(row, GateReason) else row for row in rows)]
