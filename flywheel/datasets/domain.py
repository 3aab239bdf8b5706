"""Pure rules of datasets: which rows belong together, and which split each group of rows goes to.

A customer's conversations and near-duplicates of one another never stand in two splits. No Django, no torch.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from training.contract.rows import SPLITS

MAX_SHARE = 0.9
"""The most that validation and test may take together."""


def group_node(kind: str, value: str) -> int:
    """A grouping key as a 63-bit number. Keys of different kinds never meet; a chance meeting only joins two groups."""
    digest = hashlib.sha256(f"{kind}\x00{value}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def group_name(node: int) -> str:
    """How a group stands in a row."""
    return f"{node:016x}"


class Groups:
    """Union-find over grouping keys (numbers of `group_node`). A group's root is its smallest key.

    So the root does not depend on the order in which rows came. Memory: one dictionary entry for each key.
    """

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def join(self, nodes: Iterable[int]) -> None:
        """Say that rows with any of these keys belong together."""
        roots = sorted({self.root(node) for node in nodes})
        for root in roots[1:]:
            self._parent[root] = roots[0]

    def root(self, node: int) -> int:
        """The smallest key of the group that `node` belongs to; an unseen one becomes a group of its own."""
        parent = self._parent.setdefault(node, node)
        path = []
        while parent != node:
            path.append(node)
            node, parent = parent, self._parent[parent]
        for seen in path:
            self._parent[seen] = node
        return node


@dataclass(slots=True)
class GroupSize:
    """How many rows of each label a group holds."""

    labels: dict[str, int]

    @property
    def rows(self) -> int:
        """Rows in the group."""
        return sum(self.labels.values())


def shares_check(shares: Mapping[str, float]) -> str:
    """What is wrong with the shares of validation and test; "" when nothing is."""
    unknown = sorted(set(shares) - set(SPLITS[1:]))
    if unknown:
        return f"there is no split {unknown[0]!r} to give a share; use {' and '.join(SPLITS[1:])}"
    for split, share in shares.items():
        if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= MAX_SHARE:
            return f"the share of {split} is {share!r}; give a number from 0 to {MAX_SHARE}"
    if sum(shares.values()) > MAX_SHARE:
        taken = sum(shares.values())
        return f"validation and test take {taken:g} together; leave at least {1 - MAX_SHARE:.1f} to train"
    return ""


def split_groups(groups: Mapping[int, GroupSize], *, seed: int, shares: Mapping[str, float]) -> dict[int, str]:
    """Give each group its split, by seed and stratified by label.

    Groups are taken in an order that only the seed and their keys decide. Each goes where rows of its labels, and rows
    altogether, are furthest behind their shares; that keeps every split within one group of its share as long as
    groups are small. Then each wanted split that is still empty takes the smallest group of the largest split, if
    that leaves it one: with at least as many groups as splits, none is empty.
    """
    wanted = _wanted(shares)
    assigned: dict[int, str] = {}
    total = dict.fromkeys(wanted, 0)
    by_label: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(wanted, 0))
    for root in sorted(groups, key=lambda node: _order(seed, node)):
        size = groups[root]
        split = max(wanted, key=lambda name: (_lack(name, wanted[name], size, total, by_label), -_RANK[name]))
        assigned[root] = split
        total[split] += size.rows
        for label, rows in size.labels.items():
            by_label[label][split] += rows
    _fill_empty(assigned, groups, wanted, seed)
    return assigned


_RANK = {split: position for position, split in enumerate(SPLITS)}


def _wanted(shares: Mapping[str, float]) -> dict[str, float]:
    rest = {split: float(shares.get(split, 0)) for split in SPLITS[1:]}
    return {"train": 1.0 - sum(rest.values())} | {split: share for split, share in rest.items() if share > 0}


def _order(seed: int, node: int) -> bytes:
    return hashlib.sha256(f"{seed}:{group_name(node)}".encode()).digest()


def _lack(
    split: str, share: float, size: GroupSize, total: Mapping[str, int], by_label: Mapping[str, Mapping[str, int]]
) -> float:
    """How many rows `split` is behind its share once this group is counted: of its labels, and altogether."""
    lack = share * (sum(total.values()) + size.rows) - total[split]
    for label, rows in size.labels.items():
        held = by_label[label]
        lack += share * (sum(held.values()) + rows) - held[split]
    return lack


def _fill_empty(
    assigned: dict[int, str], groups: Mapping[int, GroupSize], wanted: Mapping[str, float], seed: int
) -> None:
    members: dict[str, list[int]] = {split: [] for split in wanted}
    for root, split in assigned.items():
        members[split].append(root)
    for split in wanted:
        if members[split]:
            continue
        giver = max(wanted, key=lambda name: (len(members[name]), -_RANK[name]))
        if len(members[giver]) < 2:
            return
        moved = min(members[giver], key=lambda node: (groups[node].rows, _order(seed, node)))
        members[giver].remove(moved)
        members[split].append(moved)
        assigned[moved] = split
