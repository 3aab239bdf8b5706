"""Tickets and calls normalised to one shape of conversation."""

from __future__ import annotations

import re
import unicodedata
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flywheel.capture.domain.payloads import BadPayload, CallIn, SegmentIn, TicketIn, parse_payload
from flywheel.capture.domain.text import clean_text, one_line

NAMESPACE = uuid.UUID("6f1c3f0e-3d0b-5c0a-9a55-0f7f2b1f2c11")
"""Namespace of example identifiers (RFC 9562, version 5)."""

_AGENTS = {
    "agent", "assistant", "rep", "representative", "advisor", "adviser", "support", "operator", "system", "staff",
    "consultant", "specialist", "clerk", "bot",
}
_CUSTOMERS = {"customer", "caller", "user", "client", "guest", "member", "contact", "buyer", "shopper"}
_ROLE_WORDS = _AGENTS | _CUSTOMERS | {"spk", "speaker", "team", "desk", "help", "service", "care", "channel", "unknown"}
_WORD = re.compile(r"[^\W\d_]+")

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A capture in the one shape. `messages` as in Example.conversation; `names` are people known by name in it."""

    kind: str
    subject_line: str
    messages: list[Message]
    context_length: int
    label: str
    tags: list[str]
    language: str
    occurred_at: datetime | None
    customer_refs: list[str]
    names: list[str]
    purposes: list[str] | None


def example_uid(*, source: str, external_id: str) -> uuid.UUID:
    """The same conversation of the same source has the same identifier in every installation."""
    return uuid.uuid5(NAMESPACE, f"{source}\x00{external_id}")


def conversation_of(payload: dict[str, Any]) -> Conversation:
    """Normalise one payload. Raises BadPayload when its shape is wrong or no text is left."""
    parsed = parse_payload(payload)
    messages = _call_messages(parsed) if isinstance(parsed, CallIn) else _ticket_messages(parsed)
    if not messages:
        raise BadPayload("no message has any text once markup and control characters are gone", field="messages")
    refs, names = _people(parsed, messages)
    return Conversation(
        kind="call" if isinstance(parsed, CallIn) else "ticket",
        subject_line=one_line((parsed.subject or "") if isinstance(parsed, TicketIn) else "", limit=500),
        messages=messages,
        context_length=context_length(messages),
        label=one_line(parsed.label or "", limit=200),
        tags=[tag for tag in (one_line(t, limit=100) for t in parsed.tags or []) if tag],
        language=one_line(parsed.language or "", limit=20),
        # A ticket as delivered has no time; its first message's is used.
        occurred_at=parsed.started_at if isinstance(parsed, CallIn) else min(
            (datetime.fromisoformat(m["at"]) for m in messages if m["at"]), default=None
        ),
        customer_refs=refs,
        names=names,
        purposes=parsed.purposes,
    )


def context_length(messages: list[Message]) -> int:
    """How many leading messages are context: all before the last agent message, if no customer message follows it.

    Notes after it are ignored. A conversation that ends with the customer is context as a whole.
    """
    # From the end: the reply to learn from is the last one, with everything before it as context.
    for index in range(len(messages) - 1, -1, -1):
        if messages[index]["role"] == "agent":
            return index
        if messages[index]["role"] == "customer":
            break
    return len(messages)


def target_text(messages: list[Message], length: int) -> str:
    """The agent's reply after `length` messages of context, "" when there is none."""
    return str(messages[length]["text"]) if length < len(messages) else ""


def _ticket_messages(ticket: TicketIn) -> list[Message]:
    said = [m for m in ticket.messages if m.text.strip()]
    # Sorted only when every message has a time. With some missing, the order of delivery is the best that is known.
    if all(m.at is not None for m in said):
        said.sort(key=lambda m: m.at or datetime.max.replace(tzinfo=UTC))
    messages = [
        {
            "role": m.role, "author": one_line(m.author or "", limit=300),
            "at": m.at.isoformat() if m.at else None, "text": clean_text(m.text),
        }
        for m in said
    ]
    return [m for m in messages if m["text"]]


def _call_messages(call: CallIn) -> list[Message]:
    # A transcript may be delivered channel by channel, so segments of two speakers need not be in order of time.
    segments = sorted(call.segments, key=lambda s: (s.start_ms, s.end_ms, s.speaker, s.text))
    roles = _speaker_roles(segments, call.channels)
    messages: list[Message] = []
    previous = None
    for segment in segments:
        text = clean_text(segment.text)
        if not text:
            continue
        # Recognition cuts at pauses; one turn of a speaker is one message, as in a ticket.
        if messages and segment.speaker == previous:
            messages[-1]["text"] += f" {text}"
            messages[-1]["end_ms"] = max(messages[-1]["end_ms"], segment.end_ms)
            continue
        previous = segment.speaker
        at = _plus(call.started_at, segment.start_ms)
        messages.append({
            "role": roles[segment.speaker], "author": one_line(segment.speaker, limit=300),
            "at": at.isoformat() if at else None, "text": text,
            "start_ms": segment.start_ms, "end_ms": segment.end_ms,
        })
    return messages


def _plus(start: datetime | None, milliseconds: int) -> datetime | None:
    try:
        return start + timedelta(milliseconds=milliseconds) if start else None
    except OverflowError:
        raise BadPayload(f"start_ms {milliseconds} is longer than any call", field="segments") from None


def _speaker_roles(segments: list[SegmentIn], channels: Any) -> dict[str, str]:
    """Customer or agent for each speaker: by the channels, by the speaker's name, else by who speaks first."""
    speakers = list(dict.fromkeys(s.speaker for s in segments))
    named = _channel_roles(channels)
    known = {s: role for s in speakers if (role := named.get(s) or _generic_role(s))}
    agents, customers = "agent" in known.values(), "customer" in known.values()
    roles = {}
    for speaker in speakers:
        role = known.get(speaker)
        if role is None:
            # The agent picks up the phone and so speaks first.
            role = "customer" if agents else "agent" if customers or len(speakers) > 1 else "customer"
            agents, customers = agents or role == "agent", customers or role == "customer"
        roles[speaker] = role
    return roles


def _channel_roles(channels: Any) -> dict[str, str]:
    if isinstance(channels, dict):
        channels = [{"speaker": key, "role": value} for key, value in channels.items()]
    found: dict[str, str] = {}
    for channel in channels if isinstance(channels, list) else []:
        role = _generic_role(str(channel.get("role", ""))) if isinstance(channel, dict) else None
        if role:
            names = (channel.get(k) for k in ("speaker", "name", "author", "channel", "id"))
            found.update({str(name): role for name in names if name is not None})
    return found


def _generic_role(name: str) -> str | None:
    words = set(_WORD.findall(name.casefold()))
    if words & _AGENTS:
        return "agent"
    return "customer" if words & _CUSTOMERS else None


def _people(parsed: TicketIn | CallIn, messages: list[Message]) -> tuple[list[str], list[str]]:
    """References of the customers, at least one, and the names to be redacted."""
    authors = list(dict.fromkeys(m["author"] for m in messages if m["role"] == "customer"))
    given = parsed.customer
    names = [m["author"] for m in messages if looks_like_name(m["author"])]
    # Customers often write their names in lower case. An agent's in lower case may be "live chat", so it is not used.
    names += [author for author in authors if " " in author and _is_worded(author)]
    if given is not None and given.name and _is_worded(name := one_line(given.name, limit=300)):
        names.append(name)
    if given is not None and given.ref and given.ref.strip():
        known = {given.ref, given.name or ""}
        others = [a for a in authors if a and not is_generic(a) and not _same_person(a, known)]
        refs = [given.ref.strip(), *others]
    else:
        refs = [a for a in authors if a and not is_generic(a)]
    # Without a subject the gate would not ask for consent, so an unknown customer becomes a subject too.
    refs = refs or [f"conversation:{parsed.external_id}"]
    return list(dict.fromkeys(refs)), list(dict.fromkeys(names))


def _same_person(author: str, known: set[str]) -> bool:
    words = set(author.casefold().split())
    return any(words <= set(name.casefold().split()) for name in known)


def is_generic(name: str) -> bool:
    """Whether a name only says a role ("customer", "Caller 1") and does not identify a person."""
    words = set(_WORD.findall(name.casefold()))
    # "Customer 1" is a role; "user 88127" has enough digits to identify a person.
    return words <= _ROLE_WORDS and sum(c.isdigit() for c in name) < 3


def looks_like_name(author: str) -> bool:
    """Whether an author's entry reads like a person's name, so that its words are personal data in the text too.

    With a capital, or in a script that has none.
    """
    return _is_worded(author) and (any(c.isupper() for c in author) or not any(c.islower() for c in author))


def _is_worded(name: str) -> bool:
    """Whether it is one to five words of letters, with their combining marks, and more than a role."""
    words = name.split()
    letters = all(unicodedata.category(c)[0] in "LM" or c in ".'’-" for word in words for c in word)
    return letters and 0 < len(words) <= 5 and all(w[0].isalpha() for w in words) and not is_generic(name)
