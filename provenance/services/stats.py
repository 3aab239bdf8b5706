"""Counting verdicts and reasons by job, so that no page has to."""

from __future__ import annotations

from django.db.models import Count

from flywheel.stats.gauges import gauges_set
from provenance.domain.gate import RULES
from provenance.models import GateReason, GateVerdict, ProvenanceRecord


def gate_scope(purpose: str, region: str) -> str:
    """The gauges' scope of one purpose and region: `records, cleared, refused, rule.<rule>` stand in it."""
    return f"gate:{purpose}:{region}"


def clearance_count() -> None:
    """Count verdicts and reasons for every purpose and region that has any."""
    records = ProvenanceRecord.objects.count()
    gauges_set({"records": records}, scope="gate")
    outcomes: dict[str, dict[str, float]] = {}
    grouped = GateVerdict.objects.order_by().values_list("purpose", "region", "cleared").annotate(n=Count("pk"))
    for purpose, region, cleared, count in grouped:
        values = outcomes.setdefault(gate_scope(purpose, region), _zero(records))
        values["cleared" if cleared else "refused"] = count
    reasons = GateReason.objects.order_by().values_list("purpose", "region", "rule").annotate(n=Count("pk"))
    for purpose, region, rule, count in reasons:
        outcomes.setdefault(gate_scope(purpose, region), _zero(records))[f"rule.{rule}"] = count
    for scope, values in outcomes.items():
        gauges_set(values, scope=scope)


def _zero(records: int) -> dict[str, float]:
    # A rule that refuses nothing any more must fall to zero and not keep its last count.
    return {"records": float(records), "cleared": 0.0, "refused": 0.0} | {f"rule.{rule}": 0.0 for rule in RULES}
