"""Captures into examples: normalised, personal data found and redacted, provenance recorded, grouped, reply suggested.

Any order and any repetition of deliveries ends in the same examples: of an external id the newest version counts,
and which that is, is decided by content. Killed at any point, a capture is still waiting or wholly done.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import DataError, IntegrityError, connection, transaction
from django.utils import timezone

from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.capture.domain import minhash
from flywheel.capture.domain.conversation import Conversation, conversation_of, example_uid, target_text
from flywheel.capture.domain.payloads import BadPayload
from flywheel.capture.domain.redaction import SUBJECT, Redaction, redact
from flywheel.capture.models import Capture, Example, Source, Suggestion
from flywheel.capture.services.dedup import examples_comparable, examples_regroup, grouping_lock
from flywheel.capture.services.ingest import TOPIC
from flywheel.core.errors import Conflict
from flywheel.core.models import User
from flywheel.privacy.detector import Detector, PiiSpan, default_detector
from flywheel.work.jobs import job_add
from provenance.domain.vocabulary import RecordDraft
from provenance.services import StoredRecords, records_store, records_tell

log = logging.getLogger(__name__)

BATCH = 200
AGENT = "agent"
OF_THE_CONTENT = (DataError, IntegrityError, ValueError, TypeError, ArithmeticError, LookupError)
"""Errors that come back however often the same capture is stored. Others, such as a lost connection, may not."""

CLASSES = {"CARD": "pci", "IBAN": "pfi", "ACCOUNT": "pfi", "SECRET": "spi"}
"""Placeholder types that are more than pii (Data & Trust Alliance classification)."""

GUESSED = frozenset({"PERSON", "LOCATION"})
"""Placeholder types that the model decides about."""

EXAMPLE_FIELDS = (
    "kind", "capture", "subject_line", "conversation", "redacted", "redacted_subject_line", "pii", "context_length",
    "label", "tags", "language", "text_sha256", "group_key", "duplicate_of", "occurred_at", "changed_at",
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A capture whose conversation is read and redacted, ready to become an example."""

    capture: Capture
    uid: UUID
    conversation: Conversation
    redaction: Redaction


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch after reading: drafts to store, captures that a newer one makes void, and those that cannot be read."""

    drafts: list[Draft]
    superseded: list[Capture]
    dead: list[tuple[Capture, str]]


def process_captures(*, limit: int = BATCH, detector: Detector | None = None) -> int:
    """Process at most `limit` waiting captures. Returns how many were taken; 0 means that none waits.

    Workers may run at the same time: on PostgreSQL each takes other rows, elsewhere the second finds them done.
    """
    if connection.features.has_select_for_update_skip_locked:
        with transaction.atomic():
            captures = list(_waiting().select_for_update(of=("self",), skip_locked=True)[:limit])
            return _finish(captures, prepare(captures, detector))
    # Without row locks the slow part stays outside the transaction, which would keep everybody else from writing.
    captures = list(_waiting()[:limit])
    prepared = prepare(captures, detector)
    with transaction.atomic():
        return _finish(captures, prepared)


def captures_sweep() -> bool:
    """Ask for processing when captures wait. Returns whether any does; mends whatever a crash lost."""
    if not Capture.objects.filter(status=Capture.Status.RECEIVED).exists():
        return False
    job_add(kind=TOPIC, payload={}, dedupe_key="waiting")
    return True


def capture_replay(*, capture: Capture, by: User) -> None:
    """Try a dead capture again. Raises Conflict when it is not dead."""
    with transaction.atomic():
        changed = Capture.objects.filter(pk=capture.pk, status=Capture.Status.DEAD).update(
            status=Capture.Status.RECEIVED, error="", processed_at=None
        )
        if not changed:
            raise Conflict(f"capture {capture.pk} is not among the dead letters; it was replayed already")
        job_add(kind=TOPIC, payload={}, dedupe_key="waiting")
        ledger_append(
            actor=by, action=Action.CAPTURE_REPLAY, object=f"capture:{capture.pk}",
            touched={"capture": [capture.pk]},
        )


def example_original_seen(*, example: Example, by: User) -> None:
    """Record that a person was shown an example's unredacted text."""
    with transaction.atomic():
        ledger_append(
            actor=by, action=Action.EXAMPLE_ORIGINAL_SEEN, object=f"example:{example.uid}",
            touched={"example": [example.pk]},
        )


def _waiting() -> Any:
    return Capture.objects.filter(status=Capture.Status.RECEIVED).select_related("source", "received_by").order_by("pk")


def prepare(captures: list[Capture], detector: Detector | None = None) -> Prepared:
    """Read and redact a batch; changes nothing."""
    dead: list[tuple[Capture, str]] = []
    newest: dict[UUID, tuple[Capture, Conversation]] = {}
    superseded: list[Capture] = []
    for capture in captures:
        try:
            conversation = conversation_of(json.loads(capture.payload))
        except Exception as error:
            dead.append((capture, _reason(error)))
            continue
        uid = example_uid(source=capture.source.name, external_id=capture.external_id)
        held = newest.get(uid)
        if held is not None and held[0].order_key >= capture.order_key:
            superseded.append(capture)
            continue
        if held is not None:
            superseded.append(held[0])
        newest[uid] = (capture, conversation)
    drafts = []
    for (uid, (capture, conversation)), redaction in zip(
        newest.items(), _redactions([*newest.values()], detector), strict=True
    ):
        if isinstance(redaction, Exception):
            dead.append((capture, _reason(redaction)))
        else:
            drafts.append(Draft(capture, uid, conversation, redaction))
    return Prepared(drafts=drafts, superseded=superseded, dead=dead)


def _reason(error: Exception) -> str:
    if isinstance(error, BadPayload):
        return str(error)
    log.error("a capture could not be processed", exc_info=error)
    return f"{type(error).__name__}: {error}"[:2000]


Read = tuple[Capture, Conversation]


def _redactions(read: list[Read], detector: Detector | None) -> list[Redaction | Exception]:
    if not read:
        return []
    detector = detector or default_detector()
    try:
        return list(_redacted(read, detector))
    except Exception as error:
        if len(read) == 1:
            return [error]
        # One text that the detector chokes on must not keep the others.
        return [found for one in read for found in _redactions([one], detector)]


def _redacted(read: list[Read], detector: Detector) -> Iterable[Redaction]:
    conversations = [conversation for _, conversation in read]
    texts = [[c.subject_line, *(m["text"] for m in c.messages)] for c in conversations]
    words = [[c.label, *c.tags] for c in conversations]
    names = [c.names for c in conversations]
    things = [capture.source.product_names for capture, _ in read]
    found = detector.find(texts, names=names, things=things)
    in_words = detector.find(words, names=names, things=things)
    for conversation, own, spans, marks, seen in zip(conversations, texts, found, words, in_words, strict=True):
        redaction = redact(
            own, spans, people=conversation.names,
            authors=[m["author"] for m in conversation.messages], first_message=SUBJECT,
        )
        yield replace(redaction, marks=_marks(conversation, redaction, own, marks, seen))


def _marks(
    conversation: Conversation, redaction: Redaction, texts: list[str], marks: list[str], seen: list[list[PiiSpan]]
) -> list[str]:
    """Label and tags without personal data. Names that the model guesses in them count only when the conversation knows
    them: labels are full of capitalised words."""
    known = {word for name in conversation.names for word in name.casefold().split()}
    spans = [
        [s for s in own if s.type not in GUESSED or set(mark[s.start : s.end].casefold().split()) <= known]
        for mark, own in zip(marks, seen, strict=True)
    ]
    given = [(s["type"], texts[s["message"] - SUBJECT][s["start"] : s["end"]], s["placeholder"]) for s in redaction.pii]
    return redact(marks, spans, people=conversation.names, given=given).texts


def _finish(captures: list[Capture], prepared: Prepared) -> int:
    if not captures:
        return 0
    try:
        with transaction.atomic():
            _store(prepared)
    except OF_THE_CONTENT as error:
        _store_each(prepared, error)
    return len(captures)


def _store_each(prepared: Prepared, error: Exception) -> None:
    """The database refused something in the batch: store each alone, so that only the culprit dies."""
    log.warning("storing a batch of captures failed (%s); storing each alone", error)
    for draft in prepared.drafts:
        try:
            with transaction.atomic():
                _store(Prepared([draft], [], []))
        except OF_THE_CONTENT as own:
            _store(Prepared([], [], [(draft.capture, _reason(own))]))
    _store(Prepared([], prepared.superseded, prepared.dead))


def _store(prepared: Prepared) -> None:
    grouping_lock()
    mine = _still_waiting(prepared)
    _terms_refresh(prepared)
    held = {
        example.uid: example
        for example in Example.objects.filter(uid__in=[d.uid for d in prepared.drafts])
        .select_related("capture").select_for_update(of=("self",))
    }
    drafts = [d for d in prepared.drafts if d.capture.pk in mine and _counts(d, held.get(d.uid))]
    records = _records(drafts)
    new, changed = _examples(drafts, held, records)
    examples_regroup(new=new, changed=changed)
    _suggest(drafts, new + changed)
    # From here on the ledger is locked, which everybody else's changes wait for: what takes long is done.
    for stored in records:
        records_tell(stored)
    counted = {d.capture.pk for d in drafts}
    unread = [(capture, reason) for capture, reason in prepared.dead if capture.pk in mine]
    now = timezone.now()
    Capture.objects.filter(pk__in=mine - {c.pk for c, _ in unread}).update(
        status=Capture.Status.PROCESSED, error="", processed_at=now
    )
    for capture, reason in unread:
        Capture.objects.filter(pk=capture.pk).update(status=Capture.Status.DEAD, error=reason, processed_at=now)
    if mine:
        ledger_append(
            actor="system", action=Action.CAPTURE_PROCESS, object=f"captures:{len(mine)}",
            touched={"capture": mine, "example": [e.pk for e in new + changed]},
            payload={
                "examples": [[e.pk, e.text_sha256] for e in new + changed], "captures": sorted(counted),
                "superseded": sorted(mine - counted - {c.pk for c, _ in unread}), "dead": [c.pk for c, _ in unread],
            },
        )


def _terms_refresh(prepared: Prepared) -> None:
    """The sources' terms as they are now, and stay until this is committed: changed ones reach what is stored here, or
    wait and reach it then."""
    wanted = {draft.capture.source_id for draft in prepared.drafts}
    locked = Source.objects.select_for_update(no_key=True).filter(pk__in=wanted).order_by("pk")
    sources = {source.pk: source for source in locked}
    for draft in prepared.drafts:
        draft.capture.source = sources[draft.capture.source_id]


def _still_waiting(prepared: Prepared) -> set[int]:
    captures = [d.capture for d in prepared.drafts] + prepared.superseded + [c for c, _ in prepared.dead]
    rows = Capture.objects.filter(pk__in=[c.pk for c in captures], status=Capture.Status.RECEIVED)
    return set(rows.values_list("pk", flat=True))


def _counts(draft: Draft, held: Example | None) -> bool:
    """Whether this capture decides what the example says; an erased example stays erased."""
    if held is None:
        return True
    return held.status != Example.Status.ERASED and draft.capture.order_key > held.capture.order_key


def _records(drafts: list[Draft]) -> list[StoredRecords]:
    by_source: dict[str, list[RecordDraft]] = {}
    for draft in drafts:
        by_source.setdefault(draft.capture.source.name, []).append(_record(draft))
    return [records_store(records) for _, records in sorted(by_source.items())]


def _record(draft: Draft) -> RecordDraft:
    capture, source, conversation = draft.capture, draft.capture.source, draft.conversation
    pii = draft.redaction.pii
    namespace = source.subject_namespace or source.name
    retention = None
    if source.retention_days is not None:
        # Nobody lengthens it by dating a conversation into the future.
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


def _examples(
    drafts: list[Draft], held: dict[UUID, Example], stored: list[StoredRecords]
) -> tuple[list[Example], list[Example]]:
    records = {one.source_system: one.found for one in stored}
    new: list[Example] = []
    changed: list[Example] = []
    for draft in drafts:
        example = held.get(draft.uid)
        record = records[draft.capture.source.name][draft.capture.external_id]
        if example is None:
            example = Example(
                uid=draft.uid, source=draft.capture.source, external_id=draft.capture.external_id, provenance=record
            )
            new.append(example)
        else:
            changed.append(example)
        _fill(example, draft)
    new = Example.objects.bulk_create(new)
    Example.objects.bulk_update(changed, EXAMPLE_FIELDS, batch_size=100)
    return new, changed


def _fill(example: Example, draft: Draft) -> None:
    conversation, redaction = draft.conversation, draft.redaction
    before = (example.text_sha256, example.occurred_at)
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
    example.left_group = example.group_key  # type: ignore[attr-defined]
    example.resettled = before != (example.text_sha256, example.occurred_at)  # type: ignore[attr-defined]
    if example.resettled:  # type: ignore[attr-defined]
        example.group_key, example.duplicate_of_id = example.uid.hex, None


def _suggest(drafts: list[Draft], examples: list[Example]) -> None:
    """The agent's own reply, redacted, as a draft for the annotator; gone when there is no such reply any more."""
    by_uid = {example.uid: example for example in examples}
    offered, without = [], []
    for draft in drafts:
        example = by_uid[draft.uid]
        text = target_text(example.redacted, example.context_length)
        if text:
            offered.append(Suggestion(example=example, origin=Suggestion.Origin.AGENT, origin_name=AGENT, text=text))
        else:
            without.append(example.pk)
    Suggestion.objects.bulk_create(
        offered, update_conflicts=True, unique_fields=["example", "origin", "origin_name"],
        update_fields=["text", "withdrawn_at"],
    )
    Suggestion.objects.filter(example_id__in=without, origin=Suggestion.Origin.AGENT, withdrawn_at=None).update(
        withdrawn_at=timezone.now()
    )
