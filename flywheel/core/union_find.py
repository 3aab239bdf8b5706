"""Union-find: which keys belong together. Capture joins near-duplicates with it, snapshots join groups of rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Generic, TypeVar

Key = TypeVar("Key", int, str)


class UnionFind(Generic[Key]):
    """Disjoint sets of keys. The root of a set is its smallest key, so it does not depend on the order of joins.

    Memory: one dictionary entry per key. Union by size would make the root depend on the order; path compression
    alone keeps `root` at O(log n) amortised.
    """

    def __init__(self) -> None:
        self._parent: dict[Key, Key] = {}

    def join(self, keys: Iterable[Key]) -> None:
        """Put all `keys` into one set."""
        # Sorted, so that the smallest key becomes the root whatever the order of joins.
        roots = sorted({self.root(key) for key in keys})
        for root in roots[1:]:
            self._parent[root] = roots[0]

    def root(self, key: Key) -> Key:
        """The smallest key of the set that `key` belongs to; an unseen key becomes a set by itself."""
        parent = self._parent.setdefault(key, key)
        path = []
        # A loop and not recursion: a chain of thousands of near-duplicates would exceed Python's limit.
        while parent != key:
            path.append(key)
            key, parent = parent, self._parent[parent]
        for passed in path:
            self._parent[passed] = key
        return key

    def merged(self) -> dict[Key, list[Key]]:
        """The keys that are not the root of their set, by root, in the order in which they were first seen."""
        found: dict[Key, list[Key]] = defaultdict(list)
        for key in list(self._parent):
            root = self.root(key)
            if root != key:
                found[root].append(key)
        return dict(found)
