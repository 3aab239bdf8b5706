"""Which split each group of rows goes to. A group (a customer, a set of near-duplicates) is never divided."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from training.contract.rows import SPLITS

MAX_SHARE = 0.9
"""The most that validation and test may take together."""

_RANK = {split: position for position, split in enumerate(SPLITS)}


def group_node(kind: str, value: str) -> int:
    """A grouping key as a 63-bit number, which SQLite and Python store compactly.

    Keys of different kinds never meet. A hash collision joins two groups, which costs balance but leaks nothing.
    """
    digest = hashlib.sha256(f"{kind}\x00{value}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def group_name(node: int) -> str:
    """A group's name in rows: 16 hex digits."""
    return f"{node:016x}"


@dataclass(slots=True)
class GroupSize:
    """Rows of a group by label."""

    labels: dict[str, int]

    @property
    def rows(self) -> int:
        """Rows of the group under all labels."""
        return sum(self.labels.values())


def shares_problem(shares: Mapping[str, float]) -> str:
    """What is wrong with the shares of validation and test, with the fix; "" when they are valid."""
    unknown = sorted(set(shares) - set(SPLITS[1:]))
    if unknown:
        return f"split {unknown[0]!r} takes no share; use {' and '.join(SPLITS[1:])}"
    for split, share in shares.items():
        # bool is a subclass of int; NaN fails the comparison.
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= MAX_SHARE:
            return f"the share of {split} is {share!r}; give a number from 0 to {MAX_SHARE}"
    if sum(shares.values()) > MAX_SHARE:
        taken = sum(shares.values())
        return f"validation and test take {taken:g} together; leave at least {1 - MAX_SHARE:.1f} to train"
    return ""


def groups_split(groups: Mapping[int, GroupSize], *, seed: int, shares: Mapping[str, float]) -> dict[int, str]:
    """Give each group (key from `group_node`) a split, by seed and stratified by label.

    Groups are taken in an order that depends on seed and keys only. Each goes to the split that is furthest behind
    its share, counted over the group's labels and over all rows. That keeps every split within one group of its share
    as long as groups are small. With at least as many groups as splits, no requested split stays empty.
    """
    rest = {split: float(shares.get(split, 0)) for split in SPLITS[1:]}
    wanted = {"train": 1.0 - sum(rest.values())} | {split: share for split, share in rest.items() if share > 0}
    assigned: dict[int, str] = {}
    total = dict.fromkeys(wanted, 0)
    by_label: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(wanted, 0))
    for node in sorted(groups, key=lambda node: _shuffle_key(seed, node)):
        size = groups[node]
        split = max(wanted, key=lambda name: (_shortage(name, wanted[name], size, total, by_label), -_RANK[name]))
        assigned[node] = split
        total[split] += size.rows
        for label, rows in size.labels.items():
            by_label[label][split] += rows
    _empty_splits_fill(assigned, groups, wanted, seed)
    return assigned


def _shuffle_key(seed: int, node: int) -> bytes:
    # A hash instead of random.shuffle, because the order must not depend on the order in which rows were read.
    return hashlib.sha256(f"{seed}:{group_name(node)}".encode()).digest()


def _shortage(
    split: str, share: float, size: GroupSize, total: Mapping[str, int], by_label: Mapping[str, Mapping[str, int]]
) -> float:
    """Rows that `split` is behind its share once this group is counted: of its labels, plus over all rows."""
    shortage = share * (sum(total.values()) + size.rows) - total[split]
    for label, rows in size.labels.items():
        held = by_label[label]
        shortage += share * (sum(held.values()) + rows) - held[split]
    return shortage


def _empty_splits_fill(
    assigned: dict[int, str], groups: Mapping[int, GroupSize], wanted: Mapping[str, float], seed: int
) -> None:
    """Move the smallest group of the split with the most groups into each empty split, if that leaves it one."""
    members: dict[str, list[int]] = {split: [] for split in wanted}
    for node, split in assigned.items():
        members[split].append(node)
    for split in wanted:
        if members[split]:
            continue
        giver = max(wanted, key=lambda name: (len(members[name]), -_RANK[name]))
        # With fewer groups than splits, train must keep what it has.
        if len(members[giver]) < 2:
            return
        moved = min(members[giver], key=lambda node: (groups[node].rows, _shuffle_key(seed, node)))
        members[giver].remove(moved)
        members[split].append(moved)
        assigned[moved] = split
