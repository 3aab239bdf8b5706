"""Hashing of the ledger's chain, on plain values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import rfc8785

GENESIS = "0" * 64
"""The `previous` of the first entry."""

# RFC 8785 writes numbers as IEEE doubles, so larger integers would lose digits. They become text.
_SAFE_INTEGER = 2**53 - 1


def json_safe(value: Any) -> Any:
    """The value as JSON with a canonical form: dates, identifiers and decimals become text, tuples and sets lists."""
    if isinstance(value, dict):
        return {str(k): json_safe(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(v) for v in value]
    # A set has no order, and the same payload must always have the same hash.
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


def subjects_of(touched: Mapping[str, Iterable[object]]) -> list[tuple[str, str]]:
    """Sorted, distinct (kind, ident) pairs of everything an act touched. An identifier of None is left out."""
    return sorted({(kind, str(ident)) for kind, idents in touched.items() for ident in idents if ident is not None})


def subjects_hash(subjects: Iterable[tuple[str, str]]) -> str:
    """SHA-256 (hex) of an entry's sorted subjects."""
    digest = hashlib.sha256()
    # Unambiguous without escaping, because kinds hold no colon and neither part holds a line break.
    for kind, ident in subjects:
        digest.update(f"{kind}:{ident}\n".encode())
    return digest.hexdigest()


def entry_hash(
    *, seq: int, at: str, actor: str, action: str, object: str, payload_sha256: str, subjects_sha256: str,
    previous: str,
) -> str:
    """SHA-256 (hex) of one entry, which the next entry stores as its previous."""
    body: dict[str, Any] = {
        "seq": seq, "at": at, "actor": actor, "action": action, "object": object,
        "payload_sha256": payload_sha256, "subjects_sha256": subjects_sha256, "previous": previous,
    }
    return hashlib.sha256(rfc8785.dumps(body)).hexdigest()
