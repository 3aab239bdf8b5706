"""Counting verdicts and reasons."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Count

from flywheel.stats.registry import Counted, counter
from provenance.domain.gate import RULES
from provenance.models import GateReason, GateVerdict, ProvenanceRecord

GATE = "provenance.gate"


def gate_scope(purpose: str, region: str) -> str:
    """The scope of one purpose and region; its gauges are `records, cleared, refused, rule.<rule>`."""
    return f"gate:{purpose}:{region}"


@counter(GATE)
def gate_count(now: datetime) -> Counted:
    """Verdicts and reasons for every purpose and region that has any."""
    records = ProvenanceRecord.objects.count()
    # A rule that refuses nothing any more must fall to zero and not keep its last count.
    zero = {"records": float(records), "cleared": 0.0, "refused": 0.0} | {f"rule.{rule}": 0.0 for rule in RULES}
    # Three grouped queries for all purposes and regions: one per scope would read the table of verdicts once for each.
    found: dict[str, dict[str, float]] = {"gate": {"records": records}}
    grouped = GateVerdict.objects.order_by().values_list("purpose", "region", "cleared").annotate(n=Count("pk"))
    for purpose, region, cleared, count in grouped:
        values = found.setdefault(gate_scope(purpose, region), dict(zero))
        values["cleared" if cleared else "refused"] = count
    reasons = GateReason.objects.order_by().values_list("purpose", "region", "rule").annotate(n=Count("pk"))
    for purpose, region, rule, count in reasons:
        found.setdefault(gate_scope(purpose, region), dict(zero))[f"rule.{rule}"] = count
    return found
