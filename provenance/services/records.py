"""Provenance records and their subjects. A job judges them later.

Idempotent on (source_system, source_record_id): the same facts again are a no-op, newer facts change the record and
have it judged again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.core.actors import SYSTEM
from flywheel.core.batching import batched
from flywheel.core.errors import ValidationFailed
from flywheel.work.jobs import job_add
from provenance.domain.vocabulary import RecordDraft, SubjectRef
from provenance.models import ProvenanceRecord, Subject
from provenance.services.verdicts import JUDGE_TOPIC
from provenance.services.withdrawal import late_follow

FACTS = (
    "content_sha256", "captured_at", "captured_by", "license_spdx", "copyright", "intended_purposes",
    "prohibited_purposes", "origin_geography", "personal_data", "classification", "privacy_enhancing",
    "retention_until", "storage_allowed", "processing_included", "activity_id", "derived_from",
)
# A difference in these alone is not a change: the same content was delivered again, later or by another person.
DELIVERY_FACTS = frozenset({"captured_at", "captured_by", "activity_id"})
LISTS = frozenset({
    "intended_purposes", "prohibited_purposes", "classification", "privacy_enhancing", "storage_allowed",
    "processing_included", "derived_from",
})
CHUNK = 500

Key = tuple[str, str]


def record_provenance_bulk(records: Iterable[RecordDraft]) -> dict[str, ProvenanceRecord]:
    """Store records of one source system with one ledger entry. Returns the records by source_record_id.

    Of several drafts for one record the last counts. Raises ValidationFailed for a draft without source, identifier or
    hash, and for drafts of several source systems.
    """
    with transaction.atomic(), records_storing([records]) as (stored,):
        return stored.found


@dataclass(slots=True)
class StoredRecords:
    """Records of one source system by source_record_id, and the keys of those that were made or changed."""

    source_system: str
    found: dict[str, ProvenanceRecord] = field(default_factory=dict)
    made: list[int] = field(default_factory=list)
    changed: list[int] = field(default_factory=list)


@contextmanager
def records_storing(groups: Iterable[Iterable[RecordDraft]]) -> Iterator[list[StoredRecords]]:
    """Store records, each group of one source system, in the caller's transaction; announce them when the block ends.

    Announcing asks for judgement, writes the ledger entry and follows earlier withdrawals. It locks the ledger until
    commit, so slow work of the same transaction belongs inside the block. An exception in the block announces nothing.
    """
    stored = [_records_store(records) for records in groups]
    yield stored
    # After the block, because announcing appends to the ledger, and the ledger's head stays locked from then until
    # commit.
    for one in stored:
        _records_announce(one)


def _records_store(records: Iterable[RecordDraft]) -> StoredRecords:
    drafts = _checked(records)
    stored = StoredRecords(next((d.source_system for d in drafts.values()), ""))
    for chunk in batched(drafts.values(), CHUNK):
        existing = _existing(chunk)
        new = [d for d in chunk if d.source_record_id not in existing]
        fresh = _create(new)
        # Lost the race for some of them: another transaction inserted those first, so they are updated instead.
        existing |= {k: v for k, v in fresh.items() if v.judge_due is False}
        stored.made += [record.pk for key, record in fresh.items() if key not in existing]
        stored.changed += _update([d for d in chunk if d.source_record_id in existing], existing)
        stored.found |= fresh | existing
    return stored


def _records_announce(stored: StoredRecords) -> None:
    if stored.made or stored.changed:
        job_add(kind=JUDGE_TOPIC, payload={}, dedupe_key="due")
        ledger_append(
            actor=SYSTEM, action=Action.PROVENANCE_RECORD, object=f"source:{stored.source_system}",
            touched={"record": [*stored.made, *stored.changed]},
            payload={"made": stored.made, "records": stored.changed},
        )
        late_follow(record_ids=[*stored.made, *stored.changed])


def _checked(records: Iterable[RecordDraft]) -> dict[str, RecordDraft]:
    drafts: dict[str, RecordDraft] = {}
    systems: set[str] = set()
    for draft in records:
        for name in ("source_system", "source_record_id", "content_sha256"):
            # The unique key and the proof of content rest on these three, so an empty one would let different records
            # count as the same.
            if not getattr(draft, name):
                raise ValidationFailed(
                    f"a provenance record of {draft.source_system!r} has no {name}; give one", field=name
                )
        if draft.personal_data not in ProvenanceRecord.PersonalData.values:
            raise ValidationFailed(
                f"record {draft.source_record_id!r} has personal_data {draft.personal_data!r}; "
                f"use one of {', '.join(ProvenanceRecord.PersonalData.values)}", field="personal_data",
            )
        systems.add(draft.source_system)
        # The last of several drafts counts, as it would in separate calls; two rows of one key cannot be inserted by
        # one statement.
        drafts[draft.source_record_id] = draft
    if len(systems) > 1:
        raise ValidationFailed(f"one call records one source system, these are {sorted(systems)}; call once for each")
    return drafts


def _existing(chunk: list[RecordDraft]) -> dict[str, ProvenanceRecord]:
    rows = (
        # Without `no_key` this lock would conflict with the key-share lock that PostgreSQL takes on a record when an
        # example or a verdict that refers to it is inserted.
        ProvenanceRecord.objects.select_for_update(no_key=True)
        .filter(source_system=chunk[0].source_system, source_record_id__in=[d.source_record_id for d in chunk])
        .order_by("pk")
    )
    return {row.source_record_id: row for row in rows}


def _fields(draft: RecordDraft) -> dict[str, Any]:
    return {name: list(v) if name in LISTS else v for name in FACTS for v in (getattr(draft, name),)}


def _create(drafts: list[RecordDraft]) -> dict[str, ProvenanceRecord]:
    """Insert missing records. One that another transaction inserted first is returned with judge_due False."""
    if not drafts:
        return {}
    rows = [
        ProvenanceRecord(source_system=d.source_system, source_record_id=d.source_record_id, **_fields(d))
        for d in drafts
    ]
    # `ignore_conflicts` does not say which rows were inserted. The random uid does: a stored row with another one was
    # inserted by another transaction.
    uids = {row.source_record_id: row.uid for row in rows}
    ProvenanceRecord.objects.bulk_create(rows, ignore_conflicts=True)
    stored = _existing(drafts)
    mine = {key: row for key, row in stored.items() if row.uid == uids[key]}
    for key, row in stored.items():
        if key not in mine:
            row.judge_due = False
    subjects = subjects_ensure([ref for d in drafts for ref in d.subject_refs])
    through = ProvenanceRecord.subjects.through
    through.objects.bulk_create(
        [
            through(provenancerecord_id=mine[d.source_record_id].pk, subject_id=subjects[ref])
            for d in drafts if d.source_record_id in mine for ref in dict.fromkeys(d.subject_refs)
        ],
        ignore_conflicts=True,
    )
    return stored


def _update(drafts: list[RecordDraft], existing: dict[str, ProvenanceRecord]) -> list[int]:
    """Update records that differ. Returns the keys of records whose facts changed."""
    if not drafts:
        return []
    subjects = subjects_ensure([ref for d in drafts for ref in d.subject_refs])
    linked = _linked([existing[d.source_record_id].pk for d in drafts])
    changed: list[ProvenanceRecord] = []
    for draft in drafts:
        record = existing[draft.source_record_id]
        wanted = {subjects[ref] for ref in draft.subject_refs}
        relinked = wanted != linked.get(record.pk, set())
        if _apply(record, draft) or relinked:
            changed.append(record)
        if relinked:
            record.subjects.set(wanted)
    for record in changed:
        # Set in every path that changes a fact, because a verdict on old facts must not be shown as current.
        record.judge_due = True
        record.changed_at = timezone.now()
    ProvenanceRecord.objects.bulk_update(changed, [*FACTS, "judge_due", "changed_at"])
    return [record.pk for record in changed]


def _linked(record_ids: list[int]) -> dict[int, set[int]]:
    through = ProvenanceRecord.subjects.through
    linked: dict[int, set[int]] = {}
    rows = through.objects.filter(provenancerecord_id__in=record_ids).values_list("provenancerecord_id", "subject_id")
    for record_id, subject_id in rows:
        linked.setdefault(record_id, set()).add(subject_id)
    return linked


def _apply(record: ProvenanceRecord, draft: RecordDraft) -> bool:
    fields = _fields(draft)
    if record.content_sha256 == draft.content_sha256 and record.personal_data == "cleared":
        # A steward cleared exactly this content, so detecting the same personal data again must not undo that.
        fields.pop("personal_data")
    differs = {name for name, value in fields.items() if getattr(record, name) != value}
    if differs <= DELIVERY_FACTS:
        return False
    for name in differs:
        setattr(record, name, fields[name])
    return True


def subjects_ensure(refs: Iterable[SubjectRef]) -> dict[SubjectRef, int]:
    """Subject keys by (namespace, external_ref). Missing subjects are inserted in the caller's transaction.

    Raises ValidationFailed for a reference that is empty or longer than 300 characters.
    """
    wanted = list(dict.fromkeys((str(n), str(r)) for n, r in refs))
    for namespace, external_ref in wanted:
        if not external_ref or len(external_ref) > 300:
            raise ValidationFailed(
                f"a subject of namespace {namespace!r} has an external reference of {len(external_ref)} characters; "
                "give 1 to 300", field="subject_refs",
            )
    known = _subjects_known(wanted)
    missing = [ref for ref in wanted if ref not in known]
    if missing:
        # Conflicts are ignored because another transaction may insert the same person; the query after it finds both.
        Subject.objects.bulk_create(
            [Subject(namespace=n, external_ref=r) for n, r in missing], ignore_conflicts=True
        )
        known |= _subjects_known(missing)
    return known


def _subjects_known(refs: list[SubjectRef]) -> dict[SubjectRef, int]:
    by_namespace: dict[str, list[str]] = {}
    for namespace, external_ref in refs:
        by_namespace.setdefault(namespace, []).append(external_ref)
    known: dict[SubjectRef, int] = {}
    for namespace, names in by_namespace.items():
        for batch in batched(names, CHUNK):
            rows = Subject.objects.filter(namespace=namespace, external_ref__in=batch)
            known |= {(namespace, ref): pk for ref, pk in rows.values_list("external_ref", "pk")}
    return known
