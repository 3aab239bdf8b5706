"""Queries for the gate, in a fixed number per thousand records, and for the steward's pages."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.utils import timezone

from flywheel.audit.actions import CHANGES_FACTS
from flywheel.audit.models import LedgerHead, LedgerSubject
from flywheel.core.batching import batched
from provenance.domain.consent import Basis, Consent, Event, Standing, Withdrawn, subject_standing
from provenance.domain.gate import RecordFacts, SubjectFacts, nothing_left, purposes_refused
from provenance.domain.vocabulary import PURPOSES
from provenance.models import (
    ConsentEvent,
    ConsentRecord,
    LawfulBasis,
    ProvenanceRecord,
    Subject,
    Withdrawal,
)
from provenance.settings import judged_regions

CHUNK = 1000
"""Records per query."""

# SQLite binds at most this many values to one statement in its oldest supported builds.
_BIND = 5000

_RECORD_COLUMNS = (
    "pk", "uid", "source_system", "source_record_id", "content_sha256", "origin_geography", "license_spdx",
    "personal_data", "retention_until", "legal_hold", "quarantined_at", "quarantine_reason", "erased_at",
)
_RECORD_LISTS = (
    "intended_purposes", "prohibited_purposes", "processing_included", "processing_excluded", "storage_allowed",
    "storage_forbidden",
)


@lru_cache(maxsize=4096)
def _list_decode(value: str) -> tuple[str, ...]:
    return tuple(json.loads(value))


@lru_cache(maxsize=4096)
def _set_decode(value: str) -> frozenset[str]:
    return frozenset(_list_decode(value))


def record_facts(record_ids: Sequence[int]) -> dict[int, RecordFacts]:
    """The gate's facts by record key, with seven queries per thousand records. Unknown keys are left out."""
    facts: dict[int, RecordFacts] = {}
    # In batches, because SQLite and PostgreSQL limit the number of values of one statement.
    for batch in batched(dict.fromkeys(record_ids)):
        facts |= _facts(batch)
    return facts


def _facts(record_ids: list[int]) -> dict[int, RecordFacts]:
    records = ProvenanceRecord.objects.filter(pk__in=record_ids)
    # Most rows hold the same few lists of purposes and regions. Read as text, each distinct list is decoded once.
    as_text = {f"{name}_text": Cast(name, TextField()) for name in _RECORD_LISTS}
    rows = list(records.values(*_RECORD_COLUMNS, **as_text))
    links: dict[int, list[int]] = defaultdict(list)
    through = ProvenanceRecord.subjects.through.objects.filter(provenancerecord_id__in=record_ids)
    for record_id, subject_id in through.values_list("provenancerecord_id", "subject_id"):
        links[record_id].append(subject_id)
    subjects = _subjects({s for linked in links.values() for s in linked})
    bases: dict[str, list[Basis]] = {row["source_system"]: [] for row in rows}
    for _, basis in _bases(Q(source_system__in=list(bases), subject=None)):
        bases[basis.source_system].append(basis)
    return {
        row["pk"]: _record(
            row, tuple(subjects[s] for s in sorted(links[row["pk"]])), tuple(bases[row["source_system"]])
        )
        for row in rows
    }


def _record(row: dict[str, Any], subjects: tuple[SubjectFacts, ...], bases: tuple[Basis, ...]) -> RecordFacts:
    return RecordFacts(
        uid=str(row["uid"]), source_system=row["source_system"], source_record_id=row["source_record_id"],
        content_sha256=row["content_sha256"], origin_geography=row["origin_geography"],
        license_spdx=row["license_spdx"], personal_data=row["personal_data"],
        retention_until=row["retention_until"], legal_hold=row["legal_hold"],
        quarantined=row["quarantined_at"] is not None, quarantine_reason=row["quarantine_reason"],
        erased=row["erased_at"] is not None, subjects=subjects, bases=bases,
        **{name: _list_decode(row[f"{name}_text"]) for name in _RECORD_LISTS},
    )


def _subjects(subject_ids: set[int]) -> dict[int, SubjectFacts]:
    uids: dict[int, str] = {}
    consents: dict[int, list[Consent]] = defaultdict(list)
    bases: dict[int, list[Basis]] = defaultdict(list)
    withdrawals: dict[int, list[Withdrawn]] = defaultdict(list)
    for batch in batched(sorted(subject_ids), _BIND):
        uids |= {pk: str(uid) for pk, uid in Subject.objects.filter(pk__in=batch).values_list("pk", "uid")}
        for subject_id, consent in _consents(batch):
            consents[subject_id].append(consent)
        for owner_id, basis in _bases(Q(subject_id__in=batch)):
            bases[owner_id or 0].append(basis)
        rows = Withdrawal.objects.filter(subject_id__in=batch).values_list("subject_id", "effective_at", "purposes")
        for subject_id, at, purposes in rows:
            withdrawals[subject_id].append(Withdrawn(at, frozenset(purposes)))
    return {
        pk: SubjectFacts(uid, tuple(consents[pk]), tuple(bases[pk]), tuple(withdrawals[pk]))
        for pk, uid in uids.items()
    }


def _consents(subject_ids: list[int]) -> Iterator[tuple[int, Consent]]:
    records = list(
        ConsentRecord.objects.filter(subject_id__in=subject_ids).values_list(
            "pk", "subject_id", "record_id", Cast("purposes", TextField()), "lawful_basis",
            Cast("geographic_restrictions", TextField()),
        )
    )
    events: dict[int, list[Event]] = defaultdict(list)
    rows = ConsentEvent.objects.filter(record__subject_id__in=subject_ids).values_list(
        "record_id", "event_time", "event_state", "validity_seconds"
    )
    # The model's ordering is dropped, because the domain does not depend on it and the sort would be in vain.
    for record_id, at, state, validity in rows.order_by():
        events[record_id].append(Event(at, state, validity))
    for pk, subject_id, name, purposes, basis, geography in records:
        yield subject_id, Consent(name, _set_decode(purposes), basis, tuple(events[pk]), _list_decode(geography))


def _bases(condition: Q) -> Iterator[tuple[int | None, Basis]]:
    # A basis must have a reviewer; one without is ignored.
    rows = LawfulBasis.objects.filter(condition, reviewed_by__isnull=False).values_list(
        "subject_id", "basis", "purposes", "document", "valid_until", "revoked_at", "source_system"
    )
    for subject_id, basis, purposes, document, valid_until, revoked_at, system in rows:
        yield subject_id, Basis(basis, frozenset(purposes), document, valid_until, revoked_at, system)


def ledger_seq() -> int:
    """The number of the last committed ledger entry. Facts that change later have a higher one."""
    return LedgerHead.objects.filter(pk=1).values_list("seq", flat=True).first() or 0


def records_changed_since(seq: int) -> Iterator[int]:
    """Keys of the records whose facts were changed by entries after number `seq`. A key may come more than once.

    Appending locks the head row until commit, so entries are numbered in the order of their commits and every change
    that commits after `seq` was read has a higher number.
    """
    touched = LedgerSubject.objects.filter(entry__gt=seq, entry__action__in=sorted(CHANGES_FACTS)).order_by()

    def named(kind: str) -> QuerySet[LedgerSubject, Any]:
        return touched.filter(kind=kind).values_list("ident", flat=True).distinct()

    yield from map(int, named("record").iterator())
    for batch in batched(sorted(map(int, named("subject")))):
        yield from records_of_subjects(batch)
    if systems := list(named("system")):
        yield from ProvenanceRecord.objects.filter(source_system__in=systems).values_list("pk", flat=True).iterator()


def records_of_subjects(subject_ids: list[int]) -> Iterator[int]:
    """Keys of all records that name any of these subjects."""
    through = ProvenanceRecord.subjects.through.objects.filter(subject_id__in=subject_ids)
    yield from through.values_list("provenancerecord_id", flat=True).distinct().iterator()


def records_refused(record_ids: Iterable[int]) -> dict[int, frozenset[str]]:
    """Those of the records that a subject refused some purpose for, each with the purposes refused now."""
    # One moment for all batches, because a consent that ends in between would be judged differently in the first and
    # the last of them.
    now, places = timezone.now(), judged_regions()
    return {
        pk: refused for batch in batched(record_ids) for pk, facts in record_facts(batch).items()
        if (refused := purposes_refused(facts, places, now))
    }


def records_spent(record_ids: Iterable[int]) -> list[int]:
    """Those of the records that a subject refused and that may not be used for any purpose now."""
    now, places = timezone.now(), judged_regions()
    return [
        pk for batch in batched(record_ids) for pk, facts in record_facts(batch).items()
        if nothing_left(facts, places, now)
    ]


def subject_refuses(subject_id: int) -> frozenset[str]:
    """Purposes that a person refused in any judged region, without a newer consent."""
    # Asked of the person alone, without a record, because a refusal counts before any data of the person is stored.
    facts = RecordFacts("", subjects=tuple(_subjects({subject_id}).values()))
    return purposes_refused(facts, judged_regions(), timezone.now())


# -- what the steward's pages show -------------------------------------------------------------------------------------
def standings_of(subject: Subject) -> list[tuple[str, str, Standing]]:
    """(purpose, region, what holds now) for every purpose and judged region, from consent and withdrawals only."""
    # From consent and withdrawals only: whether a record clears also depends on its licence and region, which the
    # record's page shows.
    facts, now = _subjects({subject.pk})[subject.pk], timezone.now()
    return [
        (purpose, region, subject_standing(facts.consents, facts.withdrawals, purpose=purpose, region=region, now=now))
        for purpose in PURPOSES for region in judged_regions()
    ]


def receipt_sections(receipt: dict[str, Any]) -> list[tuple[str, list[tuple[str, Any]]]]:
    """A receipt as (section, [(name, value)]): a list becomes its length with at most twenty of its items."""
    return [
        (section.replace("_", " "), [(name.replace("_", " "), _shown(value)) for name, value in sorted(data.items())])
        for section, data in sorted(receipt.items()) if isinstance(data, dict)
    ]


def _shown(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    items = [(item.get("name") or item.get("uid") or item) if isinstance(item, dict) else item for item in value]
    names = [str(item) for item in items]
    # Cut, because a withdrawal may reach thousands of tasks and the receipt's page must stay readable; REST returns the
    # whole receipt.
    return f"{len(names):,}" + (f": {', '.join(names[:20])}" if names else "") + ("…" if len(names) > 20 else "")
