"""The ledger: one append-only hash chain over every change of state.

`ledger_append` is called last in a service's transaction, since it locks the head until commit. Canonical JSON is
RFC 8785. What an action means is left to the service that names it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from flywheel.audit import domain as chain
from flywheel.audit.checkpoints import SignedHead, head_fault, heads_stored
from flywheel.audit.models import LedgerEntry, LedgerHead
from flywheel.core.errors import ValidationFailed


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
    # In UTC whatever zone the installation shows times in, so that a hash never depends on a setting.
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _locked_head() -> LedgerHead:
    head = LedgerHead.objects.select_for_update().filter(pk=1).first()
    if head is None:
        LedgerHead.objects.bulk_create([LedgerHead(pk=1)], ignore_conflicts=True)
        head = LedgerHead.objects.select_for_update().get(pk=1)
    return head


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """What verifying found: entries and signed heads read, and the first broken entry with the reason, if any."""

    entries: int
    broken_seq: int | None = None
    reason: str = ""
    heads: int = 0

    @property
    def ok(self) -> bool:
        return self.broken_seq is None


def ledger_verify(*, anchored: Iterable[SignedHead] = ()) -> LedgerReport:
    """Read the whole chain once, in constant memory, and name the first entry that does not fit.

    It has to fit the head row, every signed head in file storage, and those that were `anchored` elsewhere. Entries
    that are appended meanwhile are left to the next time.
    """
    try:
        signed = [*heads_stored(), *anchored]
    except ValidationFailed as error:
        return LedgerReport(entries=0, broken_seq=0, reason=error.message)
    heads = {head.seq: head for head in signed}
    for head in signed:
        if fault := head_fault(head):
            return LedgerReport(entries=0, broken_seq=head.seq, reason=fault)
        if heads[head.seq].entry_sha256 != head.entry_sha256:
            return LedgerReport(entries=0, broken_seq=head.seq, reason=f"two signed heads of entry {head.seq} differ")
    # In this order: an entry that is seen before the head is read is counted in the head, unless it was put there.
    newest = LedgerEntry.objects.order_by("-seq").values_list("seq", flat=True).first() or 0
    end = LedgerHead.objects.filter(pk=1).first() or LedgerHead(seq=0, entry_sha256=chain.GENESIS)
    previous, expected = chain.GENESIS, 1
    for entry in LedgerEntry.objects.filter(seq__lte=end.seq).order_by("seq").iterator(chunk_size=2000):
        reason = _fault(entry, expected, previous) or _head_fault(entry, heads)
        if reason:
            return LedgerReport(entries=expected - 1, broken_seq=min(entry.seq, expected), reason=reason)
        previous, expected = entry.entry_sha256, expected + 1
    if reason := _end_fault(newest, expected - 1, previous, end, heads):
        return LedgerReport(entries=expected - 1, broken_seq=expected, reason=reason)
    return LedgerReport(entries=expected - 1, heads=len(signed))


def _fault(entry: LedgerEntry, expected: int, previous: str) -> str:
    if entry.seq != expected:
        return f"entry {expected} is missing" if entry.seq > expected else f"entry {entry.seq} is none of the chain"
    if entry.previous != previous:
        return f"entry {entry.seq} does not continue entry {expected - 1}"
    if not _payload_fits(entry):
        return f"the payload of entry {entry.seq} was changed"
    if entry_hash(entry) != entry.entry_sha256:
        return f"entry {entry.seq} was changed"
    return ""


def _payload_fits(entry: LedgerEntry) -> bool:
    try:
        return chain.payload_hash(entry.payload) == entry.payload_sha256
    except (ValueError, RecursionError):
        # What was written always has a canonical form; a number beyond it was put there later.
        return False


def _head_fault(entry: LedgerEntry, heads: dict[int, SignedHead]) -> str:
    head = heads.get(entry.seq)
    if head is None or head.entry_sha256 == entry.entry_sha256:
        return ""
    return f"entry {entry.seq} is not the one that was signed on {head.at}: the chain was written anew"


def _end_fault(newest: int, length: int, last: str, end: LedgerHead, heads: dict[int, SignedHead]) -> str:
    if end.seq != length or end.entry_sha256 != last or newest > end.seq:
        return f"the head says {end.seq} entries, the chain has {max(newest, length)}"
    beyond = max((signed for signed in heads.values() if signed.seq > length), key=lambda h: h.seq, default=None)
    if beyond is not None:
        return (
            f"a head signed on {beyond.at} counts {beyond.seq} entries, the chain has {length}: its end was cut off, "
            "or the database is an older copy"
        )
    return ""
