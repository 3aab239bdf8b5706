"""Captures into examples: normalised, redacted, with provenance and grouped.

Any order and any repetition of deliveries gives the same examples: the newest version of an external id counts, and
its content alone decides which version is newest. A process may be killed at any point: a capture is then either still
waiting or completely processed.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import DataError, IntegrityError, connection, transaction
from django.utils import timezone

from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.capture.domain import minhash
from flywheel.capture.models import Capture, Example, Source
from flywheel.capture.services.dedup import GroupChange, examples_comparable, examples_regroup, grouping_lock
from flywheel.capture.services.ingest import PROCESS_KIND
from flywheel.capture.services.prepare import Draft, Prepared, error_reason, prepare
from flywheel.core.actors import SYSTEM
from flywheel.core.errors import Conflict
from flywheel.core.models import User
from flywheel.privacy.detector import Detector
from flywheel.work.jobs import job_add
from provenance.domain.vocabulary import RecordDraft
from provenance.models import ProvenanceRecord
from provenance.services import records_storing

log = logging.getLogger(__name__)

BATCH = 200
CONTENT_ERRORS = (DataError, IntegrityError, ValueError, TypeError, ArithmeticError, LookupError)
"""Errors that the content causes and that come back however often it is stored. A lost connection is not among them."""

CLASSES = {"CARD": "pci", "IBAN": "pfi", "ACCOUNT": "pfi", "SECRET": "spi"}
"""Placeholder types that belong to a class besides pii (Data & Trust Alliance, Data Provenance Standards 1.0)."""

EXAMPLE_FIELDS = (
    "kind", "capture", "subject_line", "conversation", "redacted", "redacted_subject_line", "pii", "context_length",
    "label", "tags", "language", "text_sha256", "group_key", "duplicate_of", "occurred_at", "changed_at",
)


def process_captures(*, limit: int = BATCH, detector: Detector | None = None) -> int:
    """Process at most `limit` waiting captures. Returns how many were taken; 0 means that none waits.

    Workers may run at the same time: on PostgreSQL each takes other rows, elsewhere the second finds them processed.
    """
    if connection.features.has_select_for_update_skip_locked:
        with transaction.atomic():
            captures = list(captures_waiting().select_for_update(of=("self",), skip_locked=True)[:limit])
            prepared_store(prepare(captures, detector))
            return len(captures)
    # SQLite has one writer and no row locks. So the slow search for personal data must stay outside the transaction.
    captures = list(captures_waiting()[:limit])
    prepared = prepare(captures, detector)
    with transaction.atomic():
        prepared_store(prepared)
    return len(captures)


def captures_sweep() -> bool:
    """Ask for processing when captures wait, also when a crash lost the request. Returns whether any waits."""
    if not Capture.objects.filter(status=Capture.Status.RECEIVED).exists():
        return False
    job_add(kind=PROCESS_KIND, dedupe_key="waiting")
    return True


def capture_replay(*, capture: Capture, by: User) -> None:
    """Try a dead capture again. Raises Conflict when it is not dead."""
    with transaction.atomic():
        # The condition on the state makes a second click a conflict instead of a second ledger entry.
        changed = Capture.objects.filter(pk=capture.pk, status=Capture.Status.DEAD).update(
            status=Capture.Status.RECEIVED, error="", processed_at=None
        )
        if not changed:
            raise Conflict(f"capture {capture.pk} is not among the dead letters; it was replayed already")
        job_add(kind=PROCESS_KIND, dedupe_key="waiting")
        ledger_append(
            actor=by, action=Action.CAPTURE_REPLAY, object=f"capture:{capture.pk}", touched={"capture": [capture.pk]}
        )


def example_original_seen(*, example: Example, by: User) -> None:
    """Record that a person was shown an example's unredacted text."""
    with transaction.atomic():
        ledger_append(
            actor=by, action=Action.EXAMPLE_ORIGINAL_SEEN, object=f"example:{example.uid}",
            touched={"example": [example.pk]},
        )


def captures_waiting() -> Any:
    """Captures to process, the oldest first."""
    return Capture.objects.filter(status=Capture.Status.RECEIVED).select_related("source", "received_by").order_by("pk")


def prepared_store(prepared: Prepared) -> None:
    """Store a prepared batch, in the caller's transaction. What the database refuses becomes a dead letter alone."""
    if not (prepared.drafts or prepared.superseded or prepared.dead):
        return
    try:
        with transaction.atomic():
            _batch_store(prepared)
    except CONTENT_ERRORS as error:
        log.warning("storing a batch of captures failed (%s); storing each alone", error)
        # Each alone in a savepoint: one conversation that the database refuses must not keep the others of its batch
        # waiting.
        for draft in prepared.drafts:
            try:
                with transaction.atomic():
                    _batch_store(Prepared([draft], [], []))
            except CONTENT_ERRORS as own:
                _batch_store(Prepared([], [], [(draft.capture, error_reason(own))]))
        _batch_store(Prepared([], prepared.superseded, prepared.dead))


def _batch_store(prepared: Prepared) -> None:
    grouping_lock()
    captures = [d.capture for d in prepared.drafts] + prepared.superseded + [c for c, _ in prepared.dead]
    waiting = Capture.objects.filter(pk__in=[c.pk for c in captures], status=Capture.Status.RECEIVED)
    # Another worker may have processed some of them while this one was reading.
    mine = set(waiting.values_list("pk", flat=True))
    # A change of terms either committed before this lock and is read here, or waits for it and then finds the records
    # of this batch. Without the lock a change in between would reach neither.
    wanted = {draft.capture.source_id for draft in prepared.drafts}
    locked = Source.objects.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")
    sources = {source.pk: source for source in locked}
    for draft in prepared.drafts:
        draft.capture.source = sources[draft.capture.source_id]
    # Read under a lock, because whether a capture is newer than the example is decided by what is stored.
    held = {
        example.uid: example
        for example in Example.objects.filter(uid__in=[d.uid for d in prepared.drafts])
        .select_related("capture").select_for_update(of=("self",))
    }
    drafts = [d for d in prepared.drafts if d.capture.pk in mine and _decides(d, held.get(d.uid))]
    by_source: dict[str, list[RecordDraft]] = {}
    for draft in drafts:
        by_source.setdefault(draft.capture.source.name, []).append(_record_draft(draft))
    # The ledger's head is locked when this block ends and until commit, and every other change in the installation
    # waits for it. So all slow work belongs inside the block.
    with records_storing(records for _, records in sorted(by_source.items())) as stored:
        records = {one.source_system: one.found for one in stored}
        new, changes = _examples_save(drafts, held, records)
        examples_regroup(new=new, changed=changes)
        examples = new + [change.example for change in changes]
    counted = {d.capture.pk for d in drafts}
    # Of captures that another worker has taken meanwhile nothing is written, or its result would be overwritten.
    unread = [(capture, reason) for capture, reason in prepared.dead if capture.pk in mine]
    now = timezone.now()
    Capture.objects.filter(pk__in=mine - {c.pk for c, _ in unread}).update(
        status=Capture.Status.PROCESSED, error="", processed_at=now
    )
    for capture, reason in unread:
        Capture.objects.filter(pk=capture.pk).update(status=Capture.Status.DEAD, error=reason, processed_at=now)
    if mine:
        ledger_append(
            actor=SYSTEM, action=Action.CAPTURE_PROCESS, object=f"captures:{len(mine)}",
            touched={"capture": mine, "example": [e.pk for e in examples]},
            payload={
                "examples": [[e.pk, e.text_sha256] for e in examples], "captures": sorted(counted),
                "superseded": sorted(mine - counted - {c.pk for c, _ in unread}), "dead": [c.pk for c, _ in unread],
            },
        )


def _decides(draft: Draft, held: Example | None) -> bool:
    """Whether this capture decides what the example says. An erased example stays erased."""
    if held is None:
        return True
    return held.status != Example.Status.ERASED and draft.capture.order_key > held.capture.order_key


def _record_draft(draft: Draft) -> RecordDraft:
    capture, source, conversation = draft.capture, draft.capture.source, draft.conversation
    pii = draft.redaction.pii
    namespace = source.subject_namespace or source.name
    retention = None
    if source.retention_days is not None:
        # A conversation that is dated into the future must not lengthen its own retention.
        since = min(conversation.occurred_at or capture.received_at, capture.received_at)
        retention = since + timedelta(days=source.retention_days)
    kinds = {span["type"] for span in pii}
    named = draft.redaction.authors != [m["author"] for m in conversation.messages]
    marked = draft.redaction.marks != [conversation.label, *conversation.tags]
    result = f"{len(pii)} spans redacted" + ", authors replaced" * named + ", label and tags redacted" * marked
    present = bool(pii) or named or marked
    return RecordDraft(
        source_system=source.name, source_record_id=capture.external_id, content_sha256=capture.payload_sha256,
        captured_at=capture.received_at, captured_by=str(capture.received_by or "system")[:200],
        license_spdx=source.license_spdx, copyright=source.copyright,
        intended_purposes=conversation.purposes if conversation.purposes is not None else source.purposes,
        prohibited_purposes=source.prohibited_purposes,
        origin_geography=source.region,
        personal_data="redacted" if present else "none",
        classification=sorted({"pii", *(CLASSES[k] for k in kinds & set(CLASSES))}) if present else [],
        privacy_enhancing=[{"tool": "flywheel redaction", "parameters": {"types": sorted(kinds)}, "result": result}],
        subject_refs=[(namespace, ref) for ref in conversation.customer_refs],
        retention_until=retention, storage_allowed=[source.region], processing_included=[source.region],
        activity_id=f"capture:{capture.pk}", derived_from=[f"{source.name}/{capture.external_id}@{capture.version}"],
    )


def _examples_save(
    drafts: list[Draft], held: dict[UUID, Example], records: dict[str, dict[str, ProvenanceRecord]]
) -> tuple[list[Example], list[GroupChange]]:
    new: list[Example] = []
    changes: list[GroupChange] = []
    for draft in drafts:
        example = held.get(draft.uid)
        if example is None:
            record = records[draft.capture.source.name][draft.capture.external_id]
            example = Example(
                uid=draft.uid, source=draft.capture.source, external_id=draft.capture.external_id, provenance=record
            )
            _example_fill(example, draft)
            new.append(example)
        else:
            changes.append(_example_fill(example, draft))
    new = Example.objects.bulk_create(new)
    Example.objects.bulk_update([change.example for change in changes], EXAMPLE_FIELDS, batch_size=100)
    return new, changes


def _example_fill(example: Example, draft: Draft) -> GroupChange:
    conversation, redaction = draft.conversation, draft.redaction
    # Remembered before the fields are overwritten, because the group that is left must be taken apart.
    left_group, before = example.group_key, (example.text_sha256, example.occurred_at)
    example.capture = draft.capture
    example.kind = conversation.kind
    example.subject_line = conversation.subject_line
    example.conversation = conversation.messages
    example.redacted_subject_line = redaction.texts[0][:500]
    example.redacted = [
        message | {"text": text, "author": author}
        for message, text, author in zip(conversation.messages, redaction.texts[1:], redaction.authors, strict=True)
    ]
    example.pii = redaction.pii
    example.context_length = conversation.context_length
    example.label, *example.tags = redaction.marks
    example.label, example.language = example.label[:200], conversation.language
    example.occurred_at = conversation.occurred_at
    example.text_sha256 = minhash.text_sha256(examples_comparable(example))
    example.changed_at = timezone.now()
    # Groups depend on text and time only. Other changes, such as of a label, leave the group as it is.
    regroup = before != (example.text_sha256, example.occurred_at)
    if regroup:
        example.group_key, example.duplicate_of_id = example.uid.hex, None
    return GroupChange(example=example, left_group=left_group, regroup=regroup)
