"""Union-find: the same sets and roots in any order of joins."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flywheel.core.union_find import UnionFind

LINKS = st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=4), max_size=40)


@given(LINKS, st.randoms())
def test_sets_do_not_depend_on_the_order_of_joins(links: list[list[int]], shuffle: Any):
    first, second = UnionFind[int](), UnionFind[int]()
    for nodes in links:
        first.join(nodes)
    for nodes in shuffle.sample(links, len(links)):
        second.join(shuffle.sample(nodes, len(nodes)))
    for nodes in links:
        assert len({first.root(node) for node in nodes}) == 1
        assert first.root(nodes[0]) == second.root(nodes[0]) <= min(nodes)


def test_a_chain_of_keys_is_one_set():
    sets = UnionFind[str]()
    sets.join(["text x", "customer 1"])
    sets.join(["text y", "customer 2"])
    assert sets.root("text x") != sets.root("text y")
    sets.join(["text x", "customer 2"])
    assert sets.root("text x") == sets.root("text y") == "customer 1"


def test_merged_keys_are_listed_by_their_root():
    sets = UnionFind[str]()
    sets.join("cb")
    sets.join("ba")
    sets.join("z")
    assert sets.merged() == {"a": ["c", "b"]}
