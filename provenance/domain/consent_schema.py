"""Validation of consent records from outside. Errors name the field, the value and the fix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from flywheel.core.text import is_plain
from provenance.domain.durations import duration_seconds
from provenance.domain.vocabulary import CONSENT_STATES, PURPOSES, is_consent_basis


class DraftError(ValueError):
    """Input is not a valid consent record. `field` names the field."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class EventDraft:
    """One consent event. `at` is aware; `validity_seconds` None means without end."""

    at: datetime
    state: str
    type: str
    entity_id: str
    validity_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class ConsentDraft:
    """One consent record with events. `details` are the model's optional fields, of which only the type is checked."""

    namespace: str
    subject_ref: str
    record_id: str
    purposes: tuple[str, ...]
    lawful_basis: str
    events: tuple[EventDraft, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


_TEXTS = {
    "privacy_notice": 500, "language": 20, "collection_method": 200, "jurisdiction": 60, "retention_period": 40,
    "withdrawal_method": 300, "schema_version": 20,
}
_LISTS = ("controllers", "storage_locations", "geographic_restrictions", "recipient_third_parties", "privacy_rights")
_KNOWN = {"namespace", "subject_ref", "record_id", "purposes", "lawful_basis", "events", *_TEXTS, *_LISTS}


def consent_draft(row: Any) -> ConsentDraft:
    """Check one consent record. Raises DraftError."""
    if not isinstance(row, Mapping):
        raise DraftError("", f"the row is {type(row).__name__}; give an object")
    # An unknown field is refused and not ignored: a misspelt restriction would otherwise widen the consent silently.
    unknown = sorted(set(row) - _KNOWN)
    if unknown:
        raise DraftError(str(unknown[0]), f"{unknown[0]!r} is not a field of a consent record; leave it out")
    basis = _text(row, "lawful_basis", 60, default="eu-gdpr:A6-1-a")
    # Another basis needs a reviewer and a document, which an import row does not have.
    if not is_consent_basis(basis):
        raise DraftError("lawful_basis", f"{basis!r} is not consent; record it as a lawful basis with its document")
    events = row.get("events", [])
    if not isinstance(events, list):
        raise DraftError("events", f"events is {type(events).__name__}; give a list")
    details: dict[str, Any] = {n: _text(row, n, most, default="") for n, most in _TEXTS.items() if row.get(n)}
    details |= {name: _texts_read(row, name) for name in _LISTS if row.get(name)}
    return ConsentDraft(
        namespace=_text(row, "namespace", 100), subject_ref=_text(row, "subject_ref", 300),
        record_id=_text(row, "record_id", 200), purposes=_purposes(row), lawful_basis=basis,
        events=tuple(event_draft(event) for event in events), details=details,
    )


def event_draft(value: Any) -> EventDraft:
    """Check one event. Raises DraftError."""
    if not isinstance(value, Mapping):
        raise DraftError("events", f"an event is {type(value).__name__}; give an object")
    state = _text(value, "event_state", 60)
    if state not in CONSENT_STATES:
        known = ", ".join(sorted(CONSENT_STATES))
        raise DraftError("event_state", f"{state!r} is not a consent state; use one of {known}")
    at = moment(value.get("event_time"), "event_time")
    return EventDraft(
        at=at, state=state, type=_text(value, "event_type", 60, default=state),
        entity_id=_text(value, "entity_id", 200, default="unknown"), validity_seconds=_validity(value, at),
    )


def _validity(value: Mapping[str, Any], at: datetime) -> int | None:
    duration = value.get("validity_duration")
    if duration is None:
        return None
    if not isinstance(duration, str):
        raise DraftError("validity_duration", f"{duration!r} is not text; write for example 'P1Y', or null for no end")
    try:
        return duration_seconds(duration, start=at)
    except ValueError as error:
        raise DraftError("validity_duration", str(error)) from error


def moment(value: Any, name: str) -> datetime:
    """An ISO 8601 time or a datetime, in UTC; one without an offset is taken as UTC. Raises DraftError."""
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        # A time without an offset is ambiguous. UTC is taken and not the server's zone, because the same file must mean
        # the same in every installation.
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return at.astimezone(UTC)
    # OverflowError comes from times near the years 1 and 9999 when they are converted to UTC.
    except (TypeError, ValueError, OverflowError):
        raise DraftError(name, f"{name} is {value!r}; give an ISO 8601 time such as 2026-01-31T12:00:00Z") from None


def _text(row: Mapping[str, Any], name: str, most: int, *, default: str | None = None) -> str:
    value = row.get(name)
    if value in (None, "") and default is not None:
        return default
    if not isinstance(value, str) or not value.strip():
        raise DraftError(name, f"{name} is {value!r}; give a text")
    if len(value) > most:
        raise DraftError(name, f"{name} has {len(value)} characters; {most} are allowed")
    # PostgreSQL stores neither NUL nor half a surrogate pair, and SQLite stores both, so the installation would decide
    # whether a row is accepted.
    if not is_plain(value):
        raise DraftError(name, f"{name} contains NUL or half a surrogate pair; remove it")
    return value


def _texts_read(row: Mapping[str, Any], name: str) -> list[str]:
    value = row[name]
    if not isinstance(value, list) or not all(isinstance(v, str) and is_plain(v) for v in value):
        raise DraftError(name, f"{name} is {value!r}; give a list of texts")
    return list(value)


def _purposes(row: Mapping[str, Any]) -> tuple[str, ...]:
    value = row.get("purposes")
    if not isinstance(value, list) or not value:
        raise DraftError("purposes", f"purposes is {value!r}; give a list with some of {', '.join(PURPOSES)}")
    for purpose in value:
        if purpose not in PURPOSES:
            raise DraftError("purposes", f"purpose {purpose!r} is not known; use one of {', '.join(PURPOSES)}")
    return tuple(dict.fromkeys(value))
