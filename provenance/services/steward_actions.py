"""A steward's decisions on a record, and changed terms of a source.

A decision judges the record in the same transaction; changed terms queue judging.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import DateTimeField, ExpressionWrapper, QuerySet
from django.db.models.expressions import Combinable
from django.utils import timezone

from flywheel.audit.actions import Action
from flywheel.audit.domain import json_safe, payload_hash
from flywheel.audit.ledger import ledger_append
from flywheel.core.actors import Actor
from flywheel.core.errors import Conflict, ValidationFailed
from flywheel.core.models import User
from flywheel.core.text import plain_text
from flywheel.work.jobs import job_add
from provenance.models import ProvenanceRecord, StewardReview
from provenance.services.records import FACTS
from provenance.services.verdicts import JUDGE_TOPIC, records_judge

Decision = StewardReview.Decision
PersonalData = ProvenanceRecord.PersonalData


def steward_quarantine(*, record: ProvenanceRecord, reason: str, by: User) -> StewardReview:
    """Block a record until it is released. Raises Conflict when it is quarantined already."""
    with transaction.atomic():
        locked = _locked(record)
        # Read under the lock: of two stewards who click at once the second one is refused, and the reason that was
        # given first is kept.
        if locked.quarantined_at is not None:
            raise Conflict(f"record {locked.uid} is quarantined since {locked.quarantined_at:%Y-%m-%d}; release it")
        fields = {"quarantined_at": timezone.now(), "quarantine_reason": _reason(reason)}
        return _decide(locked, Decision.QUARANTINE, reason, by, fields)


def steward_release(*, record: ProvenanceRecord, reason: str, by: User) -> StewardReview:
    """End a quarantine. Raises Conflict when the record is not quarantined."""
    with transaction.atomic():
        locked = _locked(record)
        if locked.quarantined_at is None:
            raise Conflict(f"record {locked.uid} is not quarantined; nothing to release")
        return _decide(locked, Decision.RELEASE, reason, by, {"quarantined_at": None, "quarantine_reason": ""})


def steward_clear_personal_data(*, record: ProvenanceRecord, reason: str, by: User) -> StewardReview:
    """Allow the use of a record's personal data. The decision holds for this content only.

    Raises Conflict when there is nothing to clear: no personal data was found, it is redacted, or it is cleared.
    """
    with transaction.atomic():
        locked = _locked(record)
        if locked.personal_data not in (PersonalData.PRESENT, PersonalData.UNKNOWN):
            raise Conflict(f"record {locked.uid}: personal data is {locked.personal_data}; there is nothing to clear")
        return _decide(locked, Decision.CLEAR_PERSONAL_DATA, reason, by, {"personal_data": PersonalData.CLEARED})


def _locked(record: ProvenanceRecord) -> ProvenanceRecord:
    return ProvenanceRecord.objects.select_for_update(no_key=True).get(pk=record.pk)


def _reason(reason: str) -> str:
    text = plain_text(reason).strip()
    if not text or len(text) > 500:
        raise ValidationFailed(f"the reason has {len(text)} characters; write 1 to 500", field="reason")
    return text


def _decide(
    record: ProvenanceRecord, decision: Decision, reason: str, by: User, fields: dict[str, Any]
) -> StewardReview:
    # The decision holds for what the steward saw. The hash of these facts proves later that a decision was made about
    # other content.
    seen = payload_hash(json_safe({name: getattr(record, name) for name in FACTS}))
    review = StewardReview.objects.create(
        record=record, decision=decision, reason=_reason(reason), by=by, record_hash=seen
    )
    ProvenanceRecord.objects.filter(pk=record.pk).update(**fields, changed_at=timezone.now())
    records_judge([record.pk])
    # The reason is free text and may name people. It must stay out of the chain, because nothing can be erased there.
    ledger_append(
        actor=by, action=Action(f"steward.{decision}"), object=f"record:{record.uid}",
        touched={"record": [record.pk]},
        payload={"records": [record.pk], "review": review.pk, "record_hash": seen},
    )
    return review


TERMS = frozenset({
    "license_spdx", "copyright", "intended_purposes", "prohibited_purposes", "origin_geography",
    "processing_included", "processing_excluded", "storage_allowed", "storage_forbidden",
})


def source_terms_change(
    *, source_system: str, by: Actor, among: QuerySet[ProvenanceRecord] | None = None, **terms: str | Sequence[str]
) -> int:
    """Change licence, purposes or regions of all records of a source. Returns the number of records changed.

    terms: fields of ProvenanceRecord. among: limits it to some of the source's records. Raises ValidationFailed for a
    field that is not a term of a source.
    """
    unknown = sorted(set(terms) - TERMS)
    # Other fields of a record are facts about one conversation, and a change for a whole source would make them wrong.
    if unknown or not terms:
        raise ValidationFailed(f"{unknown or 'nothing'}: the terms of a source are {', '.join(sorted(TERMS))}")
    values = {name: value if isinstance(value, str) else list(value) for name, value in terms.items()}
    return _records_change(among, source_system=source_system, by=by, values=values, told=values)


def source_retention_change(*, source_system: str, by: Actor, days: int | None, since: Combinable) -> int:
    """Keep all records of a source for `days` after `since`, an expression over records; None means no end.

    Returns the number of records changed.
    """
    # Computed by the database from each record's own date, instead of reading and writing every record of the source.
    until = None if days is None else ExpressionWrapper(since + timedelta(days=days), output_field=DateTimeField())
    return _records_change(
        None, source_system=source_system, by=by, values={"retention_until": until}, told={"retention_days": days}
    )


def _records_change(
    among: QuerySet[ProvenanceRecord] | None, *, source_system: str, by: Actor, values: dict[str, Any],
    told: dict[str, Any],
) -> int:
    rows = ProvenanceRecord.objects.all() if among is None else among
    with transaction.atomic():
        # One statement for all rows, because a source may have millions of records.
        changed = rows.filter(source_system=source_system).update(
            **values, judge_due=True, changed_at=timezone.now()
        )
        if changed:
            job_add(kind=JUDGE_TOPIC, payload={}, dedupe_key="due")
            ledger_append(
                actor=by, action=Action.PROVENANCE_TERMS, object=f"source:{source_system}",
                touched={"system": [source_system]},
                payload={"source_system": source_system, "terms": told, "count": changed},
            )
    return changed
