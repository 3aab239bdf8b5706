"""Asking the gate about stored records, and storing its last verdicts for pages.

`gate_judge` only asks; `clear_or_refuse` also stores. A snapshot build must not rely on stored verdicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.core.actors import SYSTEM
from flywheel.core.batching import batched
from flywheel.work.jobs import job_add
from provenance.domain.gate import RecordFacts, Verdict, verdict
from provenance.domain.vocabulary import JUDGED_PURPOSES
from provenance.models import GateReason, GateVerdict, ProvenanceRecord
from provenance.selectors import record_facts
from provenance.settings import judged_regions

BATCH = 500
Pair = tuple[str, str]
Rows = dict[int, GateVerdict]

JUDGE_TOPIC = "provenance.judge"
GAUGES_TOPIC = "provenance.gauges"
DECIDED = ("cleared", "flags", "reasons", "expires_at")
"""What a verdict says, without the moment at which it was asked."""


def gate_judge(
    record_ids: Sequence[int], *, purpose: str, region: str, commercial: bool = True, now: datetime | None = None
) -> dict[int, Verdict]:
    """The gate's verdicts on the current facts by record key, without storing them. Unknown keys are left out.

    Seven queries per thousand records. Inside a transaction it sees that transaction's changes.
    """
    at = now or timezone.now()
    return {
        pk: verdict(facts, purpose, region, commercial, at) for pk, facts in record_facts(record_ids).items()
    }


def clear_or_refuse(record_ids: Iterable[int], *, purpose: str, region: str) -> dict[int, Verdict]:
    """Judge records for commercial use and store verdicts with reasons. Idempotent."""
    verdicts: dict[int, Verdict] = {}
    for batch in batched(record_ids, BATCH):
        with transaction.atomic():
            # The lock comes before the facts are read. In the other order a change between the two would be judged as
            # it was before, and its own judgement would be overwritten.
            _lock(batch)
            verdicts |= _judge(batch, record_facts(batch), purpose, region)
    return verdicts


def due_judge() -> int:
    """Judge every due record for each judged purpose and region. Returns the number of records.

    Safe to kill and to repeat, because a record stays due until the transaction that stores its verdicts commits.
    """
    done, last = 0, 0
    # Walked by key and not from the front, because a record that becomes due again while its batch is judged would
    # otherwise be taken for ever.
    while batch := list(
        ProvenanceRecord.objects.filter(judge_due=True, pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH]
    ):
        with transaction.atomic():
            records_judge(batch)
        done, last = done + len(batch), batch[-1]
    # Pages read verdicts through gauges, which would otherwise stay old until the next regular count.
    if done:
        job_add(kind=GAUGES_TOPIC, payload={}, dedupe_key="all")
    return done


def records_judge(record_ids: list[int]) -> None:
    """Judge and store for every judged purpose and region, in the caller's transaction, and mark as judged."""
    for batch in batched(record_ids, BATCH):
        _lock(batch)
        facts = record_facts(batch)
        for purpose, region in _pairs(batch):
            _judge(batch, facts, purpose, region)
        ProvenanceRecord.objects.filter(pk__in=batch).update(judge_due=False)


def verdicts_expire(*, now: datetime | None = None) -> int:
    """Mark records with an expired verdict as due. Returns the number of records."""
    expired = GateVerdict.objects.filter(expires_at__lte=now or timezone.now())
    count = 0
    # A transaction per batch: many verdicts may expire at the same moment, such as the end of a source's retention.
    for batch in batched(expired.values_list("record_id", flat=True).distinct().iterator(), BATCH):
        with transaction.atomic():
            count += records_touch(batch)
    return count


def records_touch(record_ids: Sequence[int]) -> int:
    """Mark records as due and queue judging, in the caller's transaction. Returns the number of records."""
    touched = 0
    for batch in batched(record_ids, BATCH):
        touched += ProvenanceRecord.objects.filter(pk__in=batch).update(judge_due=True, changed_at=timezone.now())
    # One job for all that are due: the key makes further requests a no-op while it waits, however many services ask.
    if touched:
        job_add(kind=JUDGE_TOPIC, payload={}, dedupe_key="due")
    return touched


def _pairs(record_ids: list[int]) -> list[Pair]:
    """The purposes and regions judged for every record, and those with a stored verdict on one of these records."""
    kept = [(purpose, region) for purpose in JUDGED_PURPOSES for region in judged_regions()]
    # A snapshot for another purpose may have stored a verdict once. It is kept up to date, because pages show it beside
    # the others.
    asked = GateVerdict.objects.filter(record_id__in=record_ids).values_list("purpose", "region").distinct()
    return list(dict.fromkeys([*kept, *asked]))


def _lock(record_ids: list[int]) -> None:
    # A service that changes a record's facts waits for this lock, so a verdict on old facts cannot overwrite one on
    # newer facts. Locked in order of keys, because two transactions that lock in different orders deadlock.
    list(
        ProvenanceRecord.objects.select_for_update(no_key=True).filter(pk__in=record_ids).order_by("pk")
        .values_list("pk", flat=True)
    )


def _judge(
    record_ids: list[int], facts: dict[int, RecordFacts], purpose: str, region: str
) -> dict[int, Verdict]:
    now = timezone.now()
    verdicts = {pk: verdict(facts[pk], purpose, region, True, now) for pk in record_ids if pk in facts}
    stored: Rows = {
        row.record_id: row
        for row in GateVerdict.objects.filter(record_id__in=record_ids, purpose=purpose, region=region)
    }
    changed = []
    for pk, found in verdicts.items():
        row = GateVerdict(
            record_id=pk, purpose=purpose, region=region, cleared=found.cleared, flags=list(found.flags),
            reasons=[reason.to_json() for reason in found.reasons], judged_at=now, expires_at=found.expires_at,
        )
        # An unchanged verdict is not written, because each write is a ledger entry and judging is repeated by jobs.
        if pk not in stored or any(getattr(row, name) != getattr(stored[pk], name) for name in DECIDED):
            changed.append(row)
    if changed:
        _verdicts_store(changed)
        ledger_append(
            actor=SYSTEM, action=Action.GATE_JUDGE, object=f"gate:{purpose}:{region}",
            touched={"record": [row.record_id for row in changed]},
            payload={
                "cleared": [row.record_id for row in changed if row.cleared],
                "refused": [row.record_id for row in changed if not row.cleared],
            },
        )
    return verdicts


def _verdicts_store(rows: list[GateVerdict]) -> None:
    saved = GateVerdict.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["record", "purpose", "region"],
        update_fields=[*DECIDED, "judged_at"],
    )
    # Deleted and inserted, because the reasons of a verdict change as a whole and no other table refers to their rows.
    GateReason.objects.filter(verdict_id__in=[row.pk for row in saved]).delete()
    GateReason.objects.bulk_create(
        GateReason(verdict_id=row.pk, purpose=row.purpose, region=row.region, rule=rule)
        for row in saved for rule in dict.fromkeys(reason["rule"] for reason in row.reasons)
    )
