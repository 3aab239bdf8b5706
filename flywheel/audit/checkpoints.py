"""Signed checkpoints of the ledger: the chain's length and last hash at a moment, kept outside the database.

A hash chain alone cannot show that its newest entries were deleted and its head row set back. A signed checkpoint
(Ed25519; C2SP tlog-checkpoint calls it that, RFC 9162 a signed tree head) can. A job writes one to file storage each
day, and any can be kept elsewhere and given back to `ledger_verify`.
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
class Checkpoint:
    """The chain had `seq` entries at `at` (ISO 8601, UTC), the last with this hash. Key and signature are hex."""

    seq: int
    entry_sha256: str
    at: str
    public_key: str
    signature: str = ""
    schema: str = SCHEMA

    def signed_bytes(self) -> bytes:
        """The bytes that are signed: every field except the signature, as canonical JSON (RFC 8785)."""
        return rfc8785.dumps({name: value for name, value in asdict(self).items() if name != "signature"})

    def line(self) -> str:
        """The checkpoint as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)


def checkpoint_sign() -> Checkpoint | None:
    """Sign the chain's current end. None while the chain has no entry."""
    head = LedgerHead.objects.filter(pk=1, seq__gt=0).first()
    if head is None:
        return None
    key = _key()
    unsigned = Checkpoint(
        seq=head.seq, entry_sha256=head.entry_sha256, public_key=_public(key),
        at=timezone.now().astimezone(UTC).isoformat(timespec="seconds"),
    )
    return Checkpoint(**asdict(unsigned) | {"signature": key.sign(unsigned.signed_bytes()).hex()})


def checkpoint_store() -> Checkpoint | None:
    """Write a checkpoint to file storage, at most once a day. None when there is nothing new to sign."""
    # Names and not files: there is a checkpoint for each day of years, and comparing names opens none of them.
    newest = max(_names(), default="")
    held = LedgerHead.objects.filter(pk=1).values_list("seq", flat=True).first() or 0
    if newest and (newest >= _name(held) or _written_today(newest)):
        return None
    head = checkpoint_sign()
    # The file's name is the chain's length, so a job that runs twice writes the same file once.
    if head is not None and not default_storage.exists(f"{FOLDER}/{_name(head.seq)}"):
        default_storage.save(f"{FOLDER}/{_name(head.seq)}", ContentFile(head.line().encode()))
    return head


def checkpoints_stored() -> list[Checkpoint]:
    """The checkpoints in file storage, in the chain's order. Raises ValidationFailed for a file that cannot be read."""
    return [_stored(name) for name in sorted(_names())]


def checkpoints_read(lines: Iterable[str]) -> Iterator[Checkpoint]:
    """Checkpoints from lines of JSON that were kept elsewhere. Raises ValidationFailed naming the line."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _head(line, f"line {number}")


def checkpoint_fault(head: Checkpoint) -> str:
    """What is wrong with a checkpoint's signature. "" when a key that this installation trusts made it."""
    # Keys that were replaced stay trusted, because their checkpoints still prove the older part of the chain.
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
    """The public key (hex) of this installation's checkpoints."""
    return _public(_key())


def _key() -> Ed25519PrivateKey:
    # An Ed25519 key is 32 bytes, so the secret is hashed. The prefix separates this key from other uses of the secret.
    secret = settings.FLYWHEEL["LEDGER_KEY"] or settings.SECRET_KEY
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"ledger head\x00" + secret.encode()).digest())


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()


def _names() -> list[str]:
    try:
        return [name for name in default_storage.listdir(FOLDER)[1] if name.endswith(".json")]
    except FileNotFoundError:
        # Local storage has no folder before the first checkpoint.
        return []


def _name(seq: int) -> str:
    # Padded, because names must sort like numbers.
    return f"{seq:016d}.json"


def _written_today(name: str) -> bool:
    return datetime.fromisoformat(_stored(name).at).date() >= timezone.now().astimezone(UTC).date()


def _stored(name: str) -> Checkpoint:
    with default_storage.open(f"{FOLDER}/{name}") as file:
        return _head(file.read(MOST_BYTES), f"{FOLDER}/{name}")


def _head(text: str | bytes, where: str) -> Checkpoint:
    try:
        value: dict[str, Any] = json.loads(text)
        head = Checkpoint(**value)
        datetime.fromisoformat(head.at)
    except (ValueError, TypeError, RecursionError):
        raise ValidationFailed(f"{where} is not a signed head of a ledger; copy it again from its keeper") from None
    # Dataclasses do not check types, and a file that was changed by hand may hold any.
    if head.schema != SCHEMA or not isinstance(head.seq, int) or not all(
        isinstance(text, str) for text in (head.entry_sha256, head.public_key, head.signature)
    ):
        raise ValidationFailed(f"{where} is not a signed head of schema {SCHEMA!r}; copy it again from its keeper")
    return head
