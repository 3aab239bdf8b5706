"""Signed heads of the ledger: what the chain's length and last hash were at a moment, kept outside the database.

A chain alone cannot tell that its end was cut off and its head row set back. A signed head (Ed25519) can: one is
written to file storage by a job, and any can be anchored elsewhere and given back to `ledger_verify`. Reading the
chain is the ledger's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from flywheel.audit.models import LedgerHead
from flywheel.core.errors import ValidationFailed

SCHEMA = "flywheel.ledger-head/1"
FOLDER = "ledger/heads"
MOST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class SignedHead:
    """The chain had `seq` entries at `at` (ISO 8601, UTC), the last with this hash. Key and signature in hex."""

    seq: int
    entry_sha256: str
    at: str
    public_key: str
    signature: str = ""
    schema: str = SCHEMA

    def signed_bytes(self) -> bytes:
        """What the signature is over: everything else, as canonical JSON (RFC 8785)."""
        return rfc8785.dumps({name: value for name, value in asdict(self).items() if name != "signature"})

    def line(self) -> str:
        """The head as one line of JSON, to be kept elsewhere."""
        return json.dumps(asdict(self), sort_keys=True)


def head_sign() -> SignedHead | None:
    """Sign the chain as it stands; None while it has no entry."""
    head = LedgerHead.objects.filter(pk=1, seq__gt=0).first()
    if head is None:
        return None
    key = _key()
    unsigned = SignedHead(
        seq=head.seq, entry_sha256=head.entry_sha256, public_key=_public(key),
        at=timezone.now().astimezone(UTC).isoformat(timespec="seconds"),
    )
    return SignedHead(**asdict(unsigned) | {"signature": key.sign(unsigned.signed_bytes()).hex()})


def head_store() -> SignedHead | None:
    """Write a signed head to file storage, once a day at most; None when there is nothing new to sign.

    Its name says its place in the chain, so that repeating it changes nothing.
    """
    newest = max(_names(), default="")
    held = LedgerHead.objects.filter(pk=1).values_list("seq", flat=True).first() or 0
    if newest and (newest >= _name(held) or _written_today(newest)):
        return None
    head = head_sign()
    if head is not None and not default_storage.exists(f"{FOLDER}/{_name(head.seq)}"):
        default_storage.save(f"{FOLDER}/{_name(head.seq)}", ContentFile(head.line().encode()))
    return head


def heads_stored() -> list[SignedHead]:
    """The heads in file storage, in the chain's order. Raises ValidationFailed for a file that is none."""
    return [_stored(name) for name in sorted(_names())]


def heads_read(lines: Iterable[str]) -> Iterator[SignedHead]:
    """Heads from lines of JSON, such as were kept elsewhere. Raises ValidationFailed naming the line."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _head(line, f"line {number}")


def head_fault(head: SignedHead) -> str:
    """What is wrong with a head's signature; "" when a key that is trusted here made it."""
    trusted = {_public(_key()), *(name.lower() for name in settings.FLYWHEEL["LEDGER_PUBLIC_KEYS"])}
    if head.public_key.lower() not in trusted:
        return f"the head of entry {head.seq} is signed by key {head.public_key[:16]}…, which is not trusted here"
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(head.public_key))
        key.verify(bytes.fromhex(head.signature), head.signed_bytes())
    except (InvalidSignature, ValueError):
        return f"the signature of the head of entry {head.seq} does not fit it"
    return ""


def public_key() -> str:
    """The key that this installation's heads are checked with, in hex."""
    return _public(_key())


def _key() -> Ed25519PrivateKey:
    secret = settings.FLYWHEEL["LEDGER_KEY"] or settings.SECRET_KEY
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"ledger head\x00" + secret.encode()).digest())


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def _names() -> list[str]:
    try:
        return [name for name in default_storage.listdir(FOLDER)[1] if name.endswith(".json")]
    except FileNotFoundError:
        return []


def _name(seq: int) -> str:
    return f"{seq:016d}.json"


def _written_today(name: str) -> bool:
    return datetime.fromisoformat(_stored(name).at).date() >= timezone.now().astimezone(UTC).date()


def _stored(name: str) -> SignedHead:
    with default_storage.open(f"{FOLDER}/{name}") as file:
        return _head(file.read(MOST_BYTES), f"{FOLDER}/{name}")


def _head(text: str | bytes, where: str) -> SignedHead:
    try:
        value: dict[str, Any] = json.loads(text)
        head = SignedHead(**value)
        datetime.fromisoformat(head.at)
    except (ValueError, TypeError, RecursionError):
        raise ValidationFailed(f"{where} is no signed head of a ledger; take it back from where it was kept") from None
    if head.schema != SCHEMA or not isinstance(head.seq, int) or not all(
        isinstance(text, str) for text in (head.entry_sha256, head.public_key, head.signature)
    ):
        raise ValidationFailed(f"{where} is no head of schema {SCHEMA!r}")
    return head
