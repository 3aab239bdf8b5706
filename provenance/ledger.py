"""The ledger: one append-only hash chain over every change of state.

`ledger_append` is called last in a service's transaction, since it locks the head until commit. Canonical JSON is
RFC 8785. What an action means is left to the service that names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from provenance.domain import ledger as chain
from provenance.models import LedgerEntry, LedgerHead


def ledger_append(*, actor: Any, action: str, object: str, payload: dict[str, Any] | None = None) -> LedgerEntry:
    """Append one entry in the caller's transaction.

    actor: a user, or the name of a process such as "system". Raises TransactionManagementError outside a transaction.
    """
    body = chain.json_safe(payload or {})
    with transaction.atomic(durable=False):
        head = _locked_head()
        at = timezone.now()
        entry = LedgerEntry(
            seq=head.seq + 1, at=at, actor=actor_name(actor), action=action, object=object, payload=body,
            payload_sha256=chain.payload_hash(body), previous=head.entry_sha256,
        )
        entry.entry_sha256 = entry_hash(entry)
        entry.save(force_insert=True)
        LedgerHead.objects.filter(pk=1).update(seq=entry.seq, entry_sha256=entry.entry_sha256)
    return entry


def actor_name(actor: Any) -> str:
    """How a user or process stands in the ledger."""
    pk = getattr(actor, "pk", None)
    return f"user:{pk}" if pk is not None else str(actor or "system")


def entry_hash(entry: LedgerEntry) -> str:
    """The hash that the next entry names as its previous."""
    return chain.entry_hash(
        seq=entry.seq, at=_stamp(entry.at), actor=entry.actor, action=entry.action, object=entry.object,
        payload_sha256=entry.payload_sha256, previous=entry.previous,
    )


def _stamp(at: datetime) -> str:
    return at.astimezone(timezone.get_default_timezone()).isoformat(timespec="microseconds")


def _locked_head() -> LedgerHead:
    head = LedgerHead.objects.select_for_update().filter(pk=1).first()
    if head is None:
        LedgerHead.objects.bulk_create([LedgerHead(pk=1)], ignore_conflicts=True)
        head = LedgerHead.objects.select_for_update().get(pk=1)
    return head


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """What verifying found: entries read, and the first broken one with the reason, if any."""

    entries: int
    broken_seq: int | None = None
    reason: str = ""

    @property
    def ok(self) -> bool:
        return self.broken_seq is None


def ledger_verify() -> LedgerReport:
    """Read the whole chain once, in constant memory, and name the first entry that does not fit."""
    previous, expected = chain.GENESIS, 1
    for entry in _entries():
        reason = _fault(entry, expected, previous)
        if reason:
            return LedgerReport(entries=expected - 1, broken_seq=entry.seq, reason=reason)
        previous, expected = entry.entry_sha256, expected + 1
    head = LedgerHead.objects.filter(pk=1).first()
    if (head.seq if head else 0) != expected - 1 or (head and head.entry_sha256 != previous):
        return LedgerReport(
            entries=expected - 1, broken_seq=expected,
            reason=f"the head says {head.seq if head else 0} entries, the chain has {expected - 1}",
        )
    return LedgerReport(entries=expected - 1)


def _entries() -> Iterator[LedgerEntry]:
    return LedgerEntry.objects.order_by("seq").iterator(chunk_size=2000)


def _fault(entry: LedgerEntry, expected: int, previous: str) -> str:
    if entry.seq != expected:
        return f"entry {expected} is missing"
    if entry.previous != previous:
        return f"entry {entry.seq} does not continue entry {expected - 1}"
    if chain.payload_hash(entry.payload) != entry.payload_sha256:
        return f"the payload of entry {entry.seq} was changed"
    if entry_hash(entry) != entry.entry_sha256:
        return f"entry {entry.seq} was changed"
    return ""
