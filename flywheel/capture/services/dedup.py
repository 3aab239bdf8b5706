"""Near-duplicates: which examples belong together, and which of them came first.

The result is a function of the examples' texts and times, not of their order of arrival: a group is a connected
component of "nearly the same text", its key is the smallest member's identifier, its head is the earliest member, and
every other member is a duplicate of the head. Texts are compared as redacted, because that is what is trained on.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import connection
from django.db.models import F, Window
from django.db.models.functions import RowNumber

from flywheel.capture.domain import minhash
from flywheel.capture.models import Example, MinHashBand
from flywheel.core.batching import batched
from flywheel.core.union_find import UnionFind

CROWD = 64
"""Candidates looked at per band: more than that share a band only when texts are made from one template, and then the
first ones already lead to the group."""

TEXTS = 500
"""Candidates whose texts are in memory at once."""

SHINGLES_HELD = 2_000_000
"""About 200 MB of a batch's own shingles."""

_LOCK = 0x666C7977686565
"""Key of the advisory lock, "flywhee" in ASCII: any number works that no other lock in this database uses."""

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class GroupChange:
    """What a change of an example means for the groups.

    `left_group` is its group's key before the change. With `regroup` its text or time differs, and it was saved in a
    group of its own; without, it keeps its group.
    """

    example: Example
    left_group: str
    regroup: bool


def grouping_lock() -> None:
    """Let one transaction at a time change examples and groups, until it ends."""
    # Two transactions that each add one of two near-duplicates would not see the other's row and make two groups.
    # SQLite needs no lock, because it has one writer.
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


def examples_comparable(example: Example) -> str:
    """The text that is compared: all that customer and agent said; the notes only when there is nothing else."""
    # Notes are left out, because a training row holds them only when its source says so.
    said = [m["text"] for m in example.redacted if m["role"] != "note"]
    return minhash.comparable(said or [m["text"] for m in example.redacted])


def examples_regroup(*, new: list[Example], changed: list[GroupChange]) -> None:
    """Put new and changed examples into their groups, under `grouping_lock`, in the caller's transaction.

    All are saved already, each new one in a group of its own (`group_key` its identifier, no `duplicate_of`).
    """
    moved = [change for change in changed if change.regroup]
    loose = new + [change.example for change in moved] + _groups_split(moved)
    if not loose:
        return
    holders, groups = _equal_join(loose)
    _near_join(holders, groups)
    _groups_store(groups)


def _groups_split(moved: list[GroupChange]) -> list[Example]:
    """Take apart the groups that lost a member. Returns the members that stayed, each in a group of its own."""
    # The lost member may have been the only link between two others, so the rest must be joined anew.
    if not moved:
        return []
    ids = [change.example.pk for change in moved]
    MinHashBand.objects.filter(example_id__in=ids).delete()
    left = {change.left_group for change in moved}
    rest = list(Example.objects.filter(group_key__in=left).exclude(pk__in=ids))
    MinHashBand.objects.filter(example_id__in=[e.pk for e in rest]).delete()
    for example in rest:
        example.group_key, example.duplicate_of_id = example.uid.hex, None
    Example.objects.bulk_update(rest, ["group_key", "duplicate_of"], batch_size=500)
    return rest


def _equal_join(loose: list[Example]) -> tuple[dict[int, str], UnionFind[str]]:
    """Join examples of equal text. Returns texts that are new, by the key of the one example that holds the bands."""
    groups = UnionFind[str]()
    by_text: dict[str, list[Example]] = defaultdict(list)
    for example in loose:
        by_text[example.text_sha256].append(example)
    known = dict(
        Example.objects.filter(text_sha256__in=list(by_text)).exclude(pk__in=[e.pk for e in loose])
        .values_list("text_sha256", "group_key")
    )
    holders: dict[int, str] = {}
    for digest, members in by_text.items():
        # By identifier and not by arrival, so that any order of deliveries stores the bands on the same example.
        first = min(members, key=lambda e: e.uid.hex)
        for member in members:
            groups.join((first.group_key, member.group_key))
        # An example of equal text holds the bands already; storing them again would make every copy a candidate of
        # every other.
        if digest in known:
            groups.join((first.group_key, known[digest]))
        else:
            holders[first.pk] = examples_comparable(first)
    return holders, groups


Pair = tuple[int, str, str, list[int]]
"""A band holder, its group, another group, and that group's examples that share a band, the most likely last."""


def _near_join(holders: dict[int, str], groups: UnionFind[str]) -> None:
    bands = dict(zip(holders, minhash.band_digests(list(holders.values())), strict=True))
    MinHashBand.objects.bulk_create(
        [
            MinHashBand(example_id=pk, band=band, digest=digest)
            for pk, digests in bands.items() for band, digest in enumerate(digests)
        ]
    )
    ours = _Shingles(holders)
    open_pairs = _candidates(bands, holders, groups)
    while open_pairs:
        # One candidate of each group at a time, because the first near one decides for its whole group.
        # By candidate, because its text is read once and compared with every holder that shares a band with it.
        by_candidate: dict[int, list[Pair]] = defaultdict(list)
        for pair in open_pairs:
            by_candidate[pair[3].pop()].append(pair)
        for candidates in batched(by_candidate, TEXTS):
            unread = Example.objects.filter(pk__in=set(candidates) - set(holders)).only("redacted")
            texts = {pk: holders[pk] for pk in candidates if pk in holders}
            texts |= {example.pk: examples_comparable(example) for example in unread}
            for candidate in candidates:
                theirs = minhash.shingles(texts[candidate])
                for pk, own, other, _ in by_candidate[candidate]:
                    if groups.root(own) != groups.root(other) and minhash.near_shingles(ours.of(pk), theirs):
                        groups.join((own, other))
        open_pairs = [pair for pair in open_pairs if pair[3] and groups.root(pair[1]) != groups.root(pair[2])]


class _Shingles:
    """A cache of the shingles of a batch's texts, emptied when it holds more than `SHINGLES_HELD`."""

    def __init__(self, texts: dict[int, str]) -> None:
        self._texts = texts
        self._held: dict[int, set[bytes]] = {}
        self._size = 0

    def of(self, pk: int) -> set[bytes]:
        held = self._held.get(pk)
        if held is None:
            held = minhash.shingles(self._texts[pk])
            self._size += len(held)
            # Emptied as a whole, because only the memory is limited; shingles that are asked for again are computed
            # again.
            if self._size > SHINGLES_HELD:
                self._held, self._size = {}, len(held)
            self._held[pk] = held
        return held


def _candidates(bands: dict[int, list[int]], holders: dict[int, str], groups: UnionFind[str]) -> list[Pair]:
    # The database cuts each crowd, because a band of a common template may have a hundred thousand holders.
    place = Window(RowNumber(), partition_by=F("digest"), order_by="example__uid")
    rows = (
        MinHashBand.objects.filter(digest__in={digest for digests in bands.values() for digest in digests})
        .annotate(place=place).filter(place__lte=CROWD).values_list("digest", "example_id", "example__group_key")
    )
    by_digest: dict[int, list[int]] = defaultdict(list)
    group_of: dict[int, str] = {}
    for digest, pk, key in rows:
        by_digest[digest].append(pk)
        group_of[pk] = key
    group_of |= dict(Example.objects.filter(pk__in=list(holders)).values_list("pk", "group_key"))
    pairs: list[Pair] = []
    for pk, digests in bands.items():
        shared = Counter(other for digest in digests for other in by_digest[digest] if other != pk)
        queues: dict[str, list[int]] = defaultdict(list)
        # Ascending, because the queues are emptied from their ends: those that share the most bands are compared first.
        for other, _ in sorted(shared.items(), key=lambda item: (item[1], item[0])):
            if groups.root(group_of[other]) != groups.root(group_of[pk]):
                queues[group_of[other]].append(other)
        pairs += [(pk, group_of[pk], key, queue) for key, queue in queues.items()]
    return pairs


def _groups_store(groups: UnionFind[str]) -> None:
    for key, others in groups.merged().items():
        heads = list(
            Example.objects.filter(group_key__in=[key, *others], duplicate_of=None).values_list(
                "pk", "uid", "occurred_at"
            )
        )
        # An example without a time is later than all others, so that a dated original stays the head.
        heads.sort(key=lambda row: (row[2] or _NEVER, row[1].hex))
        first, rest = heads[0][0], [row[0] for row in heads[1:]]
        Example.objects.filter(group_key__in=others).update(group_key=key)
        # Duplicates of the former heads follow, because duplicates always point at a head and never at another
        # duplicate.
        Example.objects.filter(duplicate_of__in=rest).update(duplicate_of=first)
        Example.objects.filter(pk__in=rest).update(duplicate_of=first)
