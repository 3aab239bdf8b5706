"""File formats: how one record of a file becomes a capture payload. Mappers raise BadPayload."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from flywheel.capture.domain.payloads import BadPayload

Record = Mapping[str, Any]
Mapper = Callable[[Record], dict[str, Any]]

_TEMPLATE = re.compile(r"^(?:auto )?template \w+\s+", re.IGNORECASE)


def flywheel_record(record: Record) -> dict[str, Any]:
    """A ticket or call that is in the capture format already."""
    return dict(record)


def taskmaster(record: Record) -> dict[str, Any]:
    """A Taskmaster-4 dialogue. Its label is the family of its scenario, without the template's number."""
    turns = _turns(record, "utterances", "text", {"user": "customer", "assistant": "agent"})
    scenario = str(record.get("scenario") or record.get("vertical") or "")
    return {
        "kind": "ticket", "external_id": _identity(record, "conversation_id"), "messages": turns, "language": "en",
        "label": _TEMPLATE.sub("", scenario)[:200], "tags": _tags(record.get("vertical")),
    }


def schema_guided(record: Record) -> dict[str, Any]:
    """A dialogue of the Schema-Guided Dialogue data set. Its label is its first service."""
    services = record.get("services")
    services = services if isinstance(services, list) else []
    return {
        "kind": "ticket", "external_id": _identity(record, "dialogue_id"), "language": "en",
        "messages": _turns(record, "turns", "utterance", {"user": "customer", "system": "agent"}),
        "label": str(services[0])[:200] if services else "", "tags": _tags(*services),
    }


def banking(record: Record) -> dict[str, Any]:
    """A Banking77 question: one customer message whose label is the intent. A repeated question is one capture."""
    text, category = _cell(record, "text"), _cell(record, "category")
    if not text.strip():
        raise BadPayload("text is empty; a question needs words", field="text")
    return {
        "kind": "ticket", "external_id": f"banking77-{_digest(f'{text}|{category}')}",
        "messages": [{"role": "customer", "text": text}], "label": category, "language": "en",
    }


def table_row(record: Record) -> dict[str, Any]:
    """A row of a table: message (or text), and if present the columns external_id, version, subject, reply, label
    (or category), language, customer, tags (separated by ";")."""
    message = _cell(record, "message") or _cell(record, "text")
    if not message.strip():
        raise BadPayload("message is empty; a row needs a column message or text with words", field="message")
    messages = [{"role": "customer", "text": message}]
    reply = _cell(record, "reply")
    if reply.strip():
        messages.append({"role": "agent", "text": reply})
    payload: dict[str, Any] = {"kind": "ticket", "messages": messages}
    for name in ("external_id", "version", "subject", "language", "source"):
        if value := _cell(record, name).strip():
            payload[name] = value
    if label := (_cell(record, "label") or _cell(record, "category")).strip():
        payload["label"] = label
    if customer := (_cell(record, "customer") or _cell(record, "author")).strip():
        payload["customer"] = {"ref": customer}
    if tags := [tag.strip() for tag in _cell(record, "tags").split(";") if tag.strip()]:
        payload["tags"] = tags
    # A row without an identifier is named by its content, so that reading the file again adds nothing.
    digest = _digest("\x00".join((message, reply, payload.get("subject", ""), label)))
    payload.setdefault("external_id", f"row-{digest}")
    return payload


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class FileFormat:
    """One kind of record. `fits` decides by a JSON record's keys, `fits_table` by a table's columns."""

    mapper: Mapper
    fits: Callable[[Set[str]], bool]
    fits_table: Callable[[Set[str]], bool] = lambda columns: False


MAPPERS: dict[str, FileFormat] = {
    "taskmaster4": FileFormat(taskmaster, lambda keys: {"utterances", "conversation_id"} <= keys),
    "sgd": FileFormat(schema_guided, lambda keys: {"turns", "dialogue_id"} <= keys),
    "flywheel": FileFormat(flywheel_record, lambda keys: bool({"messages", "segments"} & keys)),
    "banking77": FileFormat(
        banking, lambda keys: {"text", "category"} <= keys,
        # A table with one of the other columns says more than a question and its intent.
        lambda columns: (
            {"text", "category"} <= columns and not columns & {"external_id", "message", "reply", "subject"}
        ),
    ),
    "table": FileFormat(
        table_row, lambda keys: bool({"message", "text"} & keys), lambda columns: bool({"message", "text"} & columns)
    ),
}
"""The file formats, one entry each. The first that fits a record decides, so the more special ones come first."""


def format_of_record(record: Record) -> str | None:
    """The name of the format that fits a JSON record's keys; None when it holds no conversation."""
    return next((name for name, known in MAPPERS.items() if known.fits(record.keys())), None)


def format_of_columns(columns: Set[str]) -> str | None:
    """The name of the format that fits a table's columns; None when they hold no conversation."""
    return next((name for name, known in MAPPERS.items() if known.fits_table(columns)), None)


def _turns(record: Record, name: str, text: str, roles: dict[str, str]) -> list[dict[str, Any]]:
    turns = record.get(name)
    if not isinstance(turns, list) or not turns:
        raise BadPayload(f"{name} is not a list of turns", field=name)
    messages = []
    for index, turn in enumerate(turns):
        speaker = str(turn.get("speaker", "")).lower() if isinstance(turn, dict) else ""
        if speaker not in roles or not isinstance(turn.get(text), str):
            raise BadPayload(
                f"turn {index} has speaker {speaker!r} and needs {text}; speakers are {', '.join(roles)}",
                field=f"{name}.{index}",
            )
        messages.append({"role": roles[speaker], "text": turn[text]})
    return messages


def _identity(record: Record, name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise BadPayload(f"{name} is missing; it names the dialogue", field=name)
    return str(value)


def _tags(*values: Any) -> list[str]:
    return [str(value)[:100] for value in values if value]


def _cell(record: Record, name: str) -> str:
    value = record.get(name)
    if value is None:
        return ""
    if isinstance(value, list | dict):
        raise BadPayload(f"{name} is not text", field=name)
    return str(value)
