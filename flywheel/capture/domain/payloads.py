"""The shape of delivered tickets and calls, and their identity."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from provenance.domain.vocabulary import PURPOSES

MAX_DEPTH = 32
"""Most levels of objects and lists inside one another; a ticket needs three."""

# Identifiers are part of addresses and log lines, and PostgreSQL stores no NUL.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_NUMERIC = re.compile(r"^[vV]?0*([0-9]+)$")


class BadPayload(ValueError):
    """A payload that cannot be captured: `field` is the path of what is wrong, "" for the whole."""

    def __init__(self, reason: str, *, field: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.field = field


@dataclass(frozen=True, slots=True)
class Row:
    """One delivery as a connector hands it over.

    `line` is its number in the file, body or page; `content` is JSON text, a payload, or why it cannot be read.
    """

    line: int
    content: bytes | str | dict[str, Any] | BadPayload


def _identifier(value: Any) -> Any:
    # Many systems number their tickets; the number is taken as text, so that 7 and "7" are one ticket.
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and _CONTROL.search(value):
        raise ValueError("contains control characters; send the identifier as the source system shows it")
    if isinstance(value, str) and value and not value.strip():
        raise ValueError("is blank; send the identifier that the source system has for it")
    return value


def _purpose(value: str) -> str:
    if value not in PURPOSES:
        raise ValueError(f"is unknown; use {', '.join(PURPOSES)}")
    return value


def _moment(value: Any) -> Any:
    if value is None or isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is not a time; write it as text, e.g. 2025-03-01T09:30:00Z")
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; add Z or an offset, e.g. 2025-03-01T09:30:00+01:00")
        # Offsets move times of the years 1 and 9999 out of the calendar.
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{value!r} is outside the calendar") from None
    except ValueError as error:
        if "time zone" in str(error):
            raise
        raise ValueError(f"{value!r} is not an ISO 8601 time; write e.g. 2025-03-01T09:30:00Z") from None


Moment = Annotated[datetime | None, BeforeValidator(_moment)]
Identifier = Annotated[str, Field(min_length=1, max_length=200), BeforeValidator(_identifier)]
Version = Annotated[str, Field(min_length=1, max_length=80), BeforeValidator(_identifier)]
Purpose = Annotated[str, AfterValidator(_purpose)]


class _Model(BaseModel):
    # Unknown fields are ignored, because source systems add fields at will, and the raw payload keeps them.
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class MessageIn(_Model):
    """One message of a ticket."""

    role: Literal["customer", "agent", "note"]
    author: str | None = Field(default=None, max_length=300)
    at: Moment = None
    text: str


class SegmentIn(_Model):
    """One stretch of speech; times in milliseconds from the call's start."""

    speaker: str = Field(max_length=300)
    start_ms: int = Field(ge=0)
    end_ms: int = Field(ge=0)
    text: str
    confidence: float | int | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> SegmentIn:
        if self.end_ms < self.start_ms:
            raise ValueError(f"ends at {self.end_ms} ms, before it starts at {self.start_ms} ms; swap the two")
        return self


class CustomerIn(_Model):
    """Who the customer is, where the authors of the messages do not show it."""

    ref: Annotated[str | None, BeforeValidator(_identifier)] = Field(default=None, max_length=300)
    name: str | None = Field(default=None, max_length=300)


class _Common(_Model):
    external_id: Identifier
    version: Version | None = None
    customer: CustomerIn | None = None
    tags: list[Annotated[str, Field(max_length=100)]] | None = Field(default=None, max_length=100)
    language: str | None = Field(default=None, max_length=20)
    label: str | None = Field(default=None, max_length=200)
    purposes: list[Purpose] | None = Field(default=None, max_length=20)


class TicketIn(_Common):
    """A ticket as delivered."""

    subject: str | None = None
    messages: list[MessageIn] = Field(min_length=1, max_length=50_000)

    @model_validator(mode="after")
    def _says_something(self) -> TicketIn:
        if not any(m.text.strip() for m in self.messages):
            raise ValueError("no message has any text; a conversation needs at least one")
        return self


class CallIn(_Common):
    """A call as delivered."""

    started_at: Moment = None
    channels: Any = None
    segments: list[SegmentIn] = Field(min_length=1, max_length=50_000)

    @model_validator(mode="after")
    def _says_something(self) -> CallIn:
        if not any(s.text.strip() for s in self.segments):
            raise ValueError("no segment has any text; a conversation needs at least one")
        return self


@dataclass(frozen=True, slots=True)
class Delivery:
    """A valid payload with its identity. `canonical` is what is stored: JSON with sorted keys, in ASCII."""

    source: str
    external_id: str
    version: str
    kind: str
    canonical: str
    sha256: str
    order_key: str


def parse_json(raw: bytes | str) -> dict[str, Any]:
    """One JSON object out of bytes. Raises BadPayload for bad UTF-8, bad or too deep JSON, repeated keys, no object."""
    if isinstance(raw, bytes | bytearray):
        raw = _decoded(bytes(raw))
    raw = raw.removeprefix("\ufeff")
    if not raw.strip():
        raise BadPayload("there is nothing here; send one JSON object")
    try:
        value = json.loads(raw, object_pairs_hook=_object, parse_constant=_no_constant)
    except BadPayload:
        raise
    except RecursionError:
        raise BadPayload(f"the JSON is nested too deeply; at most {MAX_DEPTH} levels are taken") from None
    except json.JSONDecodeError as error:
        raise BadPayload(f"this is not JSON: {error}") from None
    except ValueError:
        raise BadPayload("a number has too many digits; send it as text") from None
    if not isinstance(value, dict):
        raise BadPayload(f"expected a JSON object, found {_kind_of(value)}")
    # Counting brackets is much cheaper than walking the value, and nearly no payload has as many.
    if raw.count("[") + raw.count("{") > MAX_DEPTH:
        _check_depth(value)
    return value


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadPayload(
            f"byte 0x{raw[error.start]:02x} at position {error.start} is not UTF-8; convert the text to UTF-8"
        ) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    # `json.loads` keeps the last of two equal keys. Other parsers keep the first, so the same delivery would mean two
    # things.
    if len(value) != len(pairs):
        seen: set[str] = set()
        name = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise BadPayload(f"the key {name[:80]!r} is in one object twice; keep one", field=name[:80])
    return value


def _no_constant(name: str) -> Any:
    raise BadPayload(f"{name} is not a JSON number; leave the field out or send null")


def _kind_of(value: Any) -> str:
    names = {list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise BadPayload(f"the JSON is nested too deeply; at most {MAX_DEPTH} levels are taken")
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]


def parse_payload(payload: dict[str, Any]) -> TicketIn | CallIn:
    """The checked ticket or call. Raises BadPayload naming the field."""
    kind = payload.get("kind")
    if kind is None:
        kind = "call" if "segments" in payload else "ticket" if "messages" in payload else None
    if kind not in ("ticket", "call"):
        what = f"kind {kind!r} is unknown" if kind is not None else "the payload has neither messages nor segments"
        raise BadPayload(f"{what}; send a ticket with messages or a call with segments", field="kind")
    try:
        parsed: TicketIn | CallIn = _adapter(kind).validate_python(payload)
    except ValidationError as error:
        raise _explained(error) from None
    return parsed


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    return TypeAdapter(CallIn if kind == "call" else TicketIn)


def _explained(error: ValidationError) -> BadPayload:
    # One problem at a time, because the next one is often a consequence of the first.
    first = error.errors(include_url=False, include_context=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        reason = "is missing"
    elif not isinstance(first["input"], dict | list):
        reason = f"{reason}, found {str(first['input'])[:80]!r}"
    return BadPayload(f"{field or 'the payload'}: {reason}", field=field)


def delivery_of(payload: dict[str, Any]) -> Delivery:
    """Check a payload and work out its identity. Raises BadPayload.

    The key `source` belongs to the delivery and not to the content, so it is not part of what is stored. An identifier
    or version that is a number is stored as text, so that 7 and "7" are one delivery and not two with other content.
    """
    parsed = parse_payload(payload)
    source = payload.get("source", "")
    if not isinstance(source, str):
        raise BadPayload(f"source: expected a source's name, found {_kind_of(source)}", field="source")
    content = {k: v for k, v in payload.items() if k != "source"} | {"external_id": parsed.external_id}
    if parsed.version is not None:
        content["version"] = parsed.version
    try:
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except ValueError:
        raise BadPayload("a number is too large for JSON; send it as text") from None
    digest = sha256(canonical.encode("ascii")).hexdigest()
    # Without a version the content's hash is the version, so a repeated delivery is recognised and a changed one is
    # new.
    version = parsed.version if parsed.version is not None else digest[:16]
    return Delivery(
        source=source,
        external_id=parsed.external_id,
        version=version,
        kind="call" if isinstance(parsed, CallIn) else "ticket",
        canonical=canonical,
        sha256=digest,
        order_key=order_key(version=parsed.version, newest=newest_moment(parsed), digest=digest),
    )


def newest_moment(parsed: TicketIn | CallIn) -> datetime | None:
    """The time of the newest thing said, for a call its start."""
    if isinstance(parsed, CallIn):
        return parsed.started_at
    return max((m.at for m in parsed.messages if m.at is not None), default=None)


def order_key(*, version: str | None, newest: datetime | None, digest: str) -> str:
    """What decides which of two versions is newer, compared as text: a function of the content alone.

    Numbered versions (12, v12) come after all others and among themselves by number; the rest goes by the newest
    message's time, then by the version itself when that is a time, then by hash, so that any two deliveries have one
    order wherever and whenever they arrive. At most 110 characters.
    """
    number = _NUMERIC.match(version or "")
    if number:
        digits = number.group(1)
        # The number of digits comes first, so that comparing as text orders 9 before 10.
        return f"1{len(digits):02d}{digits}|{digest[:16]}"
    return f"0{_stamp(newest)}|{_stamp(_as_moment(version))}|{digest[:16]}"


def _as_moment(version: str | None) -> datetime | None:
    try:
        moment: datetime | None = _moment(version)
    except ValueError:
        return None
    return moment


def _stamp(moment: datetime | None) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f").rjust(26, "0") if moment else ""
