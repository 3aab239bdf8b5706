"""Captures read and redacted, before anything is stored: the slow half of processing, which changes nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from uuid import UUID

from flywheel.capture.domain.conversation import Conversation, conversation_of, example_uid
from flywheel.capture.domain.payloads import BadPayload
from flywheel.capture.domain.redaction import SUBJECT, Redaction, redact
from flywheel.capture.models import Capture
from flywheel.privacy.detector import Detector, PiiSpan, default_detector

log = logging.getLogger(__name__)

GUESSED = frozenset({"PERSON", "LOCATION"})
"""Placeholder types that come from the language model and not from a pattern or checksum."""

Read = tuple[Capture, Conversation]


@dataclass(frozen=True, slots=True)
class Draft:
    """A capture whose conversation is read and redacted, ready to become an example."""

    capture: Capture
    uid: UUID
    conversation: Conversation
    redaction: Redaction


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch after reading: drafts to store, captures that a newer one replaces, and unreadable ones with reasons."""

    drafts: list[Draft]
    superseded: list[Capture]
    dead: list[tuple[Capture, str]]


def prepare(captures: list[Capture], detector: Detector | None = None) -> Prepared:
    """Read and redact a batch. Nothing is written, so it may run outside a transaction."""
    dead: list[tuple[Capture, str]] = []
    newest: dict[UUID, Read] = {}
    superseded: list[Capture] = []
    for capture in captures:
        try:
            conversation = conversation_of(json.loads(capture.payload))
        except Exception as error:
            # Any exception, because one delivery that breaks the reader must not keep the whole batch waiting.
            dead.append((capture, error_reason(error)))
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
    found = _redactions([*newest.values()], detector or default_detector()) if newest else []
    for (uid, (capture, conversation)), redaction in zip(newest.items(), found, strict=True):
        if isinstance(redaction, Exception):
            dead.append((capture, error_reason(redaction)))
        else:
            drafts.append(Draft(capture, uid, conversation, redaction))
    return Prepared(drafts=drafts, superseded=superseded, dead=dead)


def error_reason(error: Exception) -> str:
    """Why a capture is a dead letter, as its source's page shows it. Unexpected errors are logged with their trace."""
    if isinstance(error, BadPayload):
        return str(error)
    log.error("a capture could not be processed", exc_info=error)
    return f"{type(error).__name__}: {error}"[:2000]


def _redactions(read: list[Read], detector: Detector) -> list[Redaction | Exception]:
    try:
        return list(_redacted(read, detector))
    except Exception as error:
        if len(read) == 1:
            return [error]
        # The detector takes texts in batches for speed, and one text can break it. Each alone finds that one.
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
        yield replace(redaction, marks=_marks_redacted(conversation, redaction, own, marks, seen))


def _marks_redacted(
    conversation: Conversation, redaction: Redaction, texts: list[str], marks: list[str], seen: list[list[PiiSpan]]
) -> list[str]:
    # Labels are full of capitalised words, which the model takes for names. So a guessed name counts in them only when
    # the conversation knows the person.
    known = {word for name in conversation.names for word in name.casefold().split()}
    spans = [
        [s for s in own if s.type not in GUESSED or set(mark[s.start : s.end].casefold().split()) <= known]
        for mark, own in zip(marks, seen, strict=True)
    ]
    given = [(s["type"], texts[s["message"] - SUBJECT][s["start"] : s["end"]], s["placeholder"]) for s in redaction.pii]
    return redact(marks, spans, people=conversation.names, given=given).texts
