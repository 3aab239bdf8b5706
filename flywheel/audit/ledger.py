"""The ledger: one append-only hash chain over every change of state.

Call `ledger_append` last in a service's transaction, because it locks the head row until commit. Canonical JSON is
RFC 8785.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from itertools import groupby
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from flywheel.audit import domain as chain
from flywheel.audit.actions import Action
from flywheel.audit.checkpoints import Checkpoint, checkpoint_fault, checkpoints_stored
from flywheel.audit.models import LedgerEntry, LedgerHead, LedgerSubject
from flywheel.core.actors import Actor, actor_name
from flywheel.core.errors import ValidationFailed

CHUNK = 2_000
"""Entries, or subjects, that are written or verified at a time."""


def ledger_append(
    *, actor: Actor, action: Action, object: str, touched: Mapping[str, Iterable[object]] | None = None,
    payload: dict[str, Any] | None = None,
) -> LedgerEntry:
    """Append one entry in the caller's transaction, with one subject row per thing that the act touched.

    actor: a person, or the process that acts. object: the act's main object, for display.
    touched: primary keys by kind, such as `{"task": [7], "example": [3]}`; it must name all that the act changed.
    Raises TransactionManagementError outside a transaction.
    """
    body = chain.json_safe(payload or {})
    subjects = chain.subjects_of(touched or {})
    # A savepoint of the caller's transaction: the entry commits with the change that it describes or not at all.
    with transaction.atomic(durable=False):
        head = _locked_head()
        entry = LedgerEntry(
            seq=head.seq + 1, at=timezone.now(), actor=actor_name(actor), action=Action(action), object=object,
            payload=body, payload_sha256=chain.payload_hash(body), subjects_sha256=chain.subjects_hash(subjects),
            previous=head.entry_sha256,
        )
        entry.entry_sha256 = entry_hash(entry)
        entry.save(force_insert=True)
        LedgerSubject.objects.bulk_create(
            [LedgerSubject(entry=entry, kind=kind, ident=ident) for kind, ident in subjects], batch_size=CHUNK
        )
        LedgerHead.objects.filter(pk=1).update(seq=entry.seq, entry_sha256=entry.entry_sha256)
    return entry


def entries_of(touched: Mapping[str, Iterable[object]]) -> QuerySet[LedgerEntry]:
    """The entries that touched any of these things, newest first."""
    found = LedgerSubject.objects.none()
    for kind, idents in touched.items():
        names = sorted({str(ident) for ident in idents if ident is not None})
        if names:
            found = found | LedgerSubject.objects.filter(kind=kind, ident__in=names)
    return LedgerEntry.objects.filter(seq__in=found.values("entry")).order_by("-seq")


def entry_hash(entry: LedgerEntry) -> str:
    """The entry's hash, which the next entry stores as its previous."""
    # In UTC, because a hash must not depend on the installation's time zone setting.
    at = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    return chain.entry_hash(
        seq=entry.seq, at=at, actor=entry.actor, action=entry.action, object=entry.object,
        payload_sha256=entry.payload_sha256, subjects_sha256=entry.subjects_sha256, previous=entry.previous,
    )


def _locked_head() -> LedgerHead:
    head = LedgerHead.objects.select_for_update().filter(pk=1).first()
    if head is None:
        # Two first entries at once must not fail on the key, so a conflict is ignored and the row is locked again.
        LedgerHead.objects.bulk_create([LedgerHead(pk=1)], ignore_conflicts=True)
        head = LedgerHead.objects.select_for_update().get(pk=1)
    return head


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """Entries and checkpoints that were verified, and the first broken entry with the reason, if any."""

    entries: int
    broken_seq: int | None = None
    reason: str = ""
    heads: int = 0

    @property
    def ok(self) -> bool:
        return self.broken_seq is None


def ledger_verify(*, anchored: Iterable[Checkpoint] = ()) -> LedgerReport:
    """Read the whole chain once, in constant memory, and name the first broken entry.

    The chain must match the head row, every checkpoint in file storage, and the `anchored` ones that were kept
    elsewhere. Entries that are appended while it reads are not verified.
    """
    try:
        signed = [*checkpoints_stored(), *anchored]
    except ValidationFailed as error:
        return LedgerReport(entries=0, broken_seq=0, reason=error.message)
    # By number, because each entry is compared once while the chain is read.
    checkpoints = {head.seq: head for head in signed}
    for head in signed:
        if fault := checkpoint_fault(head):
            return LedgerReport(entries=0, broken_seq=head.seq, reason=fault)
        if checkpoints[head.seq].entry_sha256 != head.entry_sha256:
            return LedgerReport(entries=0, broken_seq=head.seq, reason=f"two signed heads of entry {head.seq} differ")
    # The newest entry is read before the head row: an entry that commits in between is then counted by the head only,
    # and a newest entry beyond the head is always a forged one.
    newest = LedgerEntry.objects.order_by("-seq").values_list("seq", flat=True).first() or 0
    end = LedgerHead.objects.filter(pk=1).first() or LedgerHead(seq=0, entry_sha256=chain.GENESIS)
    previous, expected = chain.GENESIS, 1
    for entry, subjects_sha256 in _entries_with_subjects(end.seq):
        reason = _entry_fault(entry, expected, previous, subjects_sha256) or _checkpoint_mismatch(entry, checkpoints)
        if reason:
            return LedgerReport(entries=expected - 1, broken_seq=min(entry.seq, expected), reason=reason)
        previous, expected = entry.entry_sha256, expected + 1
    if reason := _end_fault(newest, expected - 1, previous, end, checkpoints):
        return LedgerReport(entries=expected - 1, broken_seq=expected, reason=reason)
    return LedgerReport(entries=expected - 1, heads=len(signed))


def _entries_with_subjects(last: int) -> Iterator[tuple[LedgerEntry, str]]:
    """Each entry up to number `last` in order, with the digest of the subject rows that it has now."""
    # Both are read in the order of entries, so that neither has to fit into memory.
    rows = LedgerSubject.objects.filter(entry__lte=last).order_by("entry", "kind", "ident")
    digests = (
        (seq, chain.subjects_hash((kind, ident) for _, kind, ident in group))
        for seq, group in groupby(
            rows.values_list("entry", "kind", "ident").iterator(chunk_size=CHUNK), key=lambda row: row[0]
        )
    )
    waiting = next(digests, None)
    for entry in LedgerEntry.objects.filter(seq__lte=last).order_by("seq").iterator(chunk_size=CHUNK):
        while waiting is not None and waiting[0] < entry.seq:
            waiting = next(digests, None)
        yield entry, waiting[1] if waiting is not None and waiting[0] == entry.seq else chain.subjects_hash([])


def _entry_fault(entry: LedgerEntry, expected: int, previous: str, subjects_sha256: str) -> str:
    if entry.seq != expected:
        missing = entry.seq > expected
        return f"entry {expected} is missing" if missing else f"entry {entry.seq} does not belong to the chain"
    if entry.previous != previous:
        return f"entry {entry.seq} does not continue entry {expected - 1}"
    if subjects_sha256 != entry.subjects_sha256:
        return f"the subjects of entry {entry.seq} were changed"
    if not _payload_fits(entry):
        return f"the payload of entry {entry.seq} was changed"
    # Last, because the checks before it say which part was changed and this one only that something was.
    if entry_hash(entry) != entry.entry_sha256:
        return f"entry {entry.seq} was changed"
    return ""


def _payload_fits(entry: LedgerEntry) -> bool:
    try:
        return chain.payload_hash(entry.payload) == entry.payload_sha256
    except (ValueError, RecursionError):
        # `ledger_append` writes only payloads with a canonical form, so one without was changed later.
        return False


def _checkpoint_mismatch(entry: LedgerEntry, checkpoints: dict[int, Checkpoint]) -> str:
    head = checkpoints.get(entry.seq)
    if head is None or head.entry_sha256 == entry.entry_sha256:
        return ""
    return f"entry {entry.seq} is not the one that was signed on {head.at}: the chain was rewritten"


def _end_fault(newest: int, length: int, last: str, end: LedgerHead, checkpoints: dict[int, Checkpoint]) -> str:
    if end.seq != length or end.entry_sha256 != last or newest > end.seq:
        return f"the head says {end.seq} entries, the chain has {max(newest, length)}"
    beyond = max((signed for signed in checkpoints.values() if signed.seq > length), key=lambda h: h.seq, default=None)
    if beyond is not None:
        return (
            f"a head signed on {beyond.at} counts {beyond.seq} entries, the chain has {length}: its end was cut off, "
            "or the database is an older copy"
        )
    return ""
