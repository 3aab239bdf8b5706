"""Consent records with their events, and other lawful bases.

A record's terms never change: other terms need a new record. Events are append-only and may arrive in any order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.core.actors import Actor, SystemActor
from flywheel.core.batching import batched
from flywheel.core.errors import Conflict, NotFound, ValidationFailed
from provenance.domain.consent_schema import ConsentDraft, DraftError, EventDraft, consent_draft, event_draft
from provenance.domain.vocabulary import LIVE_STATES, PURPOSES, is_consent_basis
from provenance.models import ConsentEvent, ConsentRecord, LawfulBasis, ProvenanceRecord, Subject
from provenance.selectors import records_of_subjects
from provenance.services.records import subjects_ensure
from provenance.services.verdicts import records_touch
from provenance.services.withdrawal import refusals_follow

CHUNK = 500


@dataclass(slots=True)
class ConsentReport:
    """Result of an import: rows read, and records and events that were new."""

    rows: int = 0
    records: int = 0
    events: int = 0


def consent_import(*, rows: Iterable[Mapping[str, Any]], by: Actor) -> ConsentReport:
    """Import consent records with their events. Idempotent.

    A row: namespace, subject_ref, record_id, purposes, lawful_basis, privacy_notice, language, jurisdiction,
    collection_method, events [{event_time, event_type, event_state, entity_id, validity_duration?}]. Committed every
    500 rows. Raises ValidationFailed naming the bad row, and Conflict when a record is stored with other terms.
    """
    report = ConsentReport()
    drafts = (_draft(row, where=f"row {number}") for number, row in enumerate(rows, start=1))
    for batch in batched(drafts, CHUNK):
        _drafts_store(batch, by, report)
    return report


def consent_record_add(*, row: Mapping[str, Any], by: Actor) -> tuple[ConsentRecord, bool]:
    """Record one consent with its events, in the form of an import row. Idempotent.

    Returns the record, and whether any part of it was new.
    """
    draft, report = _draft(row, where="the consent record"), ConsentReport()
    _drafts_store([draft], by, report)
    record = ConsentRecord.objects.select_related("subject").get(record_id=draft.record_id)
    return record, bool(report.records or report.events)


def _draft(row: Mapping[str, Any], *, where: str) -> ConsentDraft:
    try:
        return consent_draft(row)
    except DraftError as error:
        raise ValidationFailed(f"{where}: {error}", field=error.field) from error


def _drafts_store(drafts: list[ConsentDraft], by: Actor, report: ConsentReport) -> None:
    with transaction.atomic():
        subjects = subjects_ensure([(d.namespace, d.subject_ref) for d in drafts])
        # Read before and after the insert, because `ignore_conflicts` does not say which rows were new.
        before = set(_stored(drafts))
        ConsentRecord.objects.bulk_create(
            [
                ConsentRecord(
                    record_id=d.record_id, subject_id=subjects[d.namespace, d.subject_ref],
                    purposes=list(d.purposes), lawful_basis=d.lawful_basis, **d.details,
                )
                for d in drafts
            ],
            ignore_conflicts=True,
        )
        stored = _stored(drafts)
        for draft in drafts:
            _same_terms(draft, stored[draft.record_id], subjects)
        new_events, touched = _events_add(drafts, stored)
        made = set(stored) - before
        touched |= {stored[name].subject_id for name in made}
        if touched:
            # Before the ledger entry, because a withdrawal appends its own entry, and the lock order must be that of
            # `consent_withdraw`: subject first, then the ledger's head.
            refusals_follow(events=[(stored[name], state, at) for name, state, at in new_events], by=by)
            records_touch(list(records_of_subjects(sorted(touched))))
            ledger_append(
                actor=by, action=Action.CONSENT_IMPORT, object="consents",
                touched={"subject": touched},
                payload={"consents": sorted(made), "events": new_events, "subjects": sorted(touched)},
            )
    # Counted after the commit, so that a batch that failed is not reported as read.
    report.rows += len(drafts)
    report.records += len(made)
    report.events += len(new_events)


def _stored(drafts: list[ConsentDraft]) -> dict[str, ConsentRecord]:
    names = [draft.record_id for draft in drafts]
    return ConsentRecord.objects.select_related("subject").in_bulk(names, field_name="record_id")


def _same_terms(draft: ConsentDraft, record: ConsentRecord, subjects: dict[tuple[str, str], int]) -> None:
    # A record that changes its person would move a consent to someone who never gave it.
    if record.subject_id != subjects[draft.namespace, draft.subject_ref]:
        raise Conflict(f"consent record {draft.record_id!r} belongs to another subject; use another record_id")
    _same_term(draft, record.purposes, draft.purposes)
    _same_term(draft, [record.lawful_basis], [draft.lawful_basis])
    # A row without regions says nothing about them, so the stored regions stay.
    if regions := draft.details.get("geographic_restrictions"):
        _same_term(draft, record.geographic_restrictions, regions)


def _same_term(draft: ConsentDraft, stored: Iterable[str], given: Iterable[str]) -> None:
    # Terms are evidence of what the person agreed to. They are never changed; order and repetition say nothing, so they
    # are not compared.
    if sorted(set(stored)) != sorted(set(given)):
        raise Conflict(
            f"consent record {draft.record_id!r} is for {', '.join(stored) or 'every region'}, not for "
            f"{', '.join(given)}; record other terms under a new record_id"
        )


def _same_end(record_id: str, event: EventDraft, stored: int | None) -> None:
    """Raise Conflict when an event is stored with another end, because the order of arrival must not decide."""
    # Only of a grant, because the validity of any other state is not used.
    if event.state in LIVE_STATES and stored != event.validity_seconds:
        raise Conflict(
            f"event {event.state} at {event.at.isoformat()} of consent record {record_id!r} is stored with "
            "another validity; record the change as an event with its own time"
        )


EventKey = tuple[int, datetime, str]


def _events_add(
    drafts: list[ConsentDraft], stored: dict[str, ConsentRecord]
) -> tuple[list[tuple[str, str, datetime]], set[int]]:
    """Insert new events. Returns them as (record_id, state, time), and the keys of their subjects."""
    # One query for all records of the batch: a file of a million consents would otherwise take a query per row.
    held: dict[EventKey, int | None] = {
        (record, at, state): validity for record, at, state, validity in
        ConsentEvent.objects.filter(record__in=[r.pk for r in stored.values()])
        .values_list("record_id", "event_time", "event_state", "validity_seconds").order_by()
    }
    new: dict[EventKey, tuple[ConsentDraft, EventDraft]] = {}
    for d in drafts:
        for e in d.events:
            key = (stored[d.record_id].pk, e.at, e.state)
            if key not in held:
                # Also within one file the first of two events with the same key is compared with the second, or the
                # order of rows would decide.
                held[key], new[key] = e.validity_seconds, (d, e)
            _same_end(d.record_id, e, held[key])
    ConsentEvent.objects.bulk_create(
        [
            ConsentEvent(
                record_id=key[0], event_time=e.at, event_state=e.state, event_type=e.type, entity_id=e.entity_id,
                validity_seconds=e.validity_seconds,
            )
            for key, (_, e) in new.items()
        ],
        ignore_conflicts=True,
    )
    added = [(d.record_id, e.state, e.at) for d, e in new.values()]
    return added, {stored[d.record_id].subject_id for d, _ in new.values()}


def consent_event_add(*, record_id: str, event: Mapping[str, Any], by: Actor) -> tuple[ConsentRecord, bool]:
    """Append an event to a consent record. Idempotent.

    Returns the record, and whether the event was new. Raises NotFound for an unknown record, ValidationFailed for a
    malformed event, and Conflict for an event that is stored with another end.
    """
    record = ConsentRecord.objects.select_related("subject").filter(record_id=record_id).first()
    if record is None:
        raise NotFound(f"there is no consent record {record_id!r}; record the consent first")
    try:
        draft = event_draft(event)
    except DraftError as error:
        raise ValidationFailed(f"the event of consent record {record_id!r}: {error}", field=error.field) from error
    with transaction.atomic():
        # The unique constraint decides between two simultaneous requests with the same event; the loser reads the
        # winner's row.
        held, made = ConsentEvent.objects.get_or_create(
            record=record, event_time=draft.at, event_state=draft.state,
            defaults={
                "event_type": draft.type, "entity_id": draft.entity_id, "validity_seconds": draft.validity_seconds,
            },
        )
        _same_end(record_id, draft, held.validity_seconds)
        if made:
            refusals_follow(events=[(record, draft.state, draft.at)], by=by)
            records_touch(list(records_of_subjects([record.subject_id])))
            ledger_append(
                actor=by, action=Action.CONSENT_EVENT, object=f"consent:{record_id}",
                touched={"subject": [record.subject_id]},
                payload={"state": draft.state, "at": draft.at, "subjects": [record.subject_id]},
            )
    return record, made


def lawful_basis_record(
    *, source_system: str, basis: str, purposes: Iterable[str], document: str, by: Actor,
    subject: Subject | None = None, valid_until: datetime | None = None, reviewed_at: datetime | None = None,
) -> LawfulBasis:
    """Record a basis other than consent for a source system, or for one subject within it. `by` is its reviewer.

    Idempotent on basis, purposes, document and end. Raises ValidationFailed for a basis that is consent (record a
    consent instead), for unknown purposes, without a document, and when the reviewer is a process.
    """
    wanted = sorted(set(purposes))
    _basis_check(source_system, basis, wanted, document)
    # A basis such as a legitimate interest (GDPR article 6(1)(f)) rests on a balancing of interests, which a person
    # must make and a script cannot.
    if isinstance(by, SystemActor):
        raise ValidationFailed(
            f"basis {basis!r} for {source_system!r} was reviewed by the process '{by}'; a person must review it",
            field="by",
        )
    with transaction.atomic():
        # Compared in Python, because databases compare JSON lists by order and by their own rules.
        for held in LawfulBasis.objects.filter(
            source_system=source_system, subject=subject, basis=basis, document=document, revoked_at=None
        ):
            if sorted(held.purposes) == wanted and held.valid_until == valid_until:
                return held
        made = LawfulBasis.objects.create(
            source_system=source_system, subject=subject, basis=basis, purposes=wanted, document=document,
            reviewed_by=by, reviewed_at=reviewed_at or timezone.now(),
            valid_until=valid_until,
        )
        _basis_changed(made, by, Action.BASIS_RECORD)
    return made


def _basis_check(source_system: str, basis: str, purposes: list[str], document: str) -> None:
    if not source_system:
        raise ValidationFailed("a lawful basis names its source system; give one", field="source_system")
    if not basis or is_consent_basis(basis):
        raise ValidationFailed(
            f"basis {basis!r} is consent; add a consent record for each subject", field="basis"
        )
    if not document.strip():
        raise ValidationFailed(f"basis {basis!r} for {source_system!r} has no document; name it", field="document")
    unknown = [p for p in purposes if p not in PURPOSES]
    if unknown or not purposes:
        raise ValidationFailed(f"purposes {unknown or 'none'}: use some of {', '.join(PURPOSES)}", field="purposes")


def lawful_basis_revoke(*, basis: LawfulBasis, by: Actor) -> None:
    """End a recorded basis now. Idempotent."""
    with transaction.atomic():
        # The condition makes a second revocation a no-op, so that the first moment stays and the ledger has one entry.
        if LawfulBasis.objects.filter(pk=basis.pk, revoked_at=None).update(revoked_at=timezone.now()):
            _basis_changed(basis, by, Action.BASIS_REVOKE)


def _basis_changed(basis: LawfulBasis, by: Actor, action: Action) -> None:
    records = ProvenanceRecord.objects.filter(source_system=basis.source_system)
    about: dict[str, list[object]] = {"system": [basis.source_system]}
    payload = {
        "basis": basis.basis, "purposes": basis.purposes, "document": basis.document,
        "source_system": basis.source_system,
    }
    if basis.subject_id is not None:
        # Only the person's own records are judged again: a source may have millions.
        records = records.filter(subjects=basis.subject_id)
        about = {"subject": [basis.subject_id]}
    records_touch(list(records.values_list("pk", flat=True)))
    ledger_append(actor=by, action=action, object=f"basis:{basis.uid}", touched=about, payload=payload)
