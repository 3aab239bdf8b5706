"""The hash chain's arithmetic, on plain values."""

from __future__ import annotations

import hashlib
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import rfc8785

GENESIS = "0" * 64
"""What the first entry names as its previous."""

# RFC 8785 numbers are IEEE doubles: larger whole numbers would lose digits.
_SAFE_INTEGER = 2**53 - 1


def json_safe(value: Any) -> Any:
    """The value as JSON that canonicalises: dates, identifiers and decimals become text, tuples and sets lists."""
    if isinstance(value, dict):
        return {str(k): json_safe(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted(json_safe(v) for v in value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > _SAFE_INTEGER:
        return str(value)
    return value


def payload_hash(payload: Any) -> str:
    """SHA-256 (hex) of the payload's canonical JSON (RFC 8785)."""
    return hashlib.sha256(rfc8785.dumps(payload)).hexdigest()


def entry_hash(
    *, seq: int, at: str, actor: str, action: str, object: str, payload_sha256: str, previous: str
) -> str:
    """SHA-256 (hex) of one entry, which the next names as its previous."""
    body: dict[str, Any] = {
        "seq": seq, "at": at, "actor": actor, "action": action, "object": object,
        "payload_sha256": payload_sha256, "previous": previous,
    }
    return hashlib.sha256(rfc8785.dumps(body)).hexdigest()
