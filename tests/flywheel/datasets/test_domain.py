"""Groups and splits: leak-free, by seed, stratified, sensible for tiny sets; the tree file and its proofs."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.datasets import manifest
from flywheel.datasets.domain import Groups, GroupSize, group_name, group_node, shares_check, split_groups
from training.contract.merkle import inclusion_proof, leaf_hash, merkle_root

SHARES = {"validation": 0.1, "test": 0.2}


def sizes(count: int, rows: int = 1, labels: tuple[str, ...] = ("a",)) -> dict[int, GroupSize]:
    return {group_node("g", str(n)): GroupSize({labels[n % len(labels)]: rows}) for n in range(count)}


def rows_by_split(groups: dict[int, GroupSize], splits: dict[int, str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for root, split in splits.items():
        found[split] += groups[root].rows
    return found


LINKS = st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=4), max_size=40)


@given(LINKS, st.randoms())
def test_groups_are_the_same_in_whatever_order_rows_come(links: list[list[int]], shuffle: Any):
    first, second = Groups(), Groups()
    for nodes in links:
        first.join(nodes)
    for nodes in shuffle.sample(links, len(links)):
        second.join(shuffle.sample(nodes, len(nodes)))
    for nodes in links:
        assert len({first.root(node) for node in nodes}) == 1
        assert first.root(nodes[0]) == second.root(nodes[0]) <= min(nodes)


def test_a_chain_of_customers_and_duplicates_is_one_group():
    groups = Groups()
    groups.join([group_node("near", "x"), group_node("subject", "1")])
    groups.join([group_node("near", "y"), group_node("subject", "2")])
    assert groups.root(group_node("near", "x")) != groups.root(group_node("near", "y"))
    groups.join([group_node("near", "x"), group_node("subject", "2")])
    assert groups.root(group_node("near", "x")) == groups.root(group_node("near", "y"))
    assert group_node("near", "1") != group_node("subject", "1")
    assert len(group_name(group_node("near", "x"))) == 16


def test_shares_are_met_within_a_row_for_single_rows():
    groups = sizes(1000)
    assert rows_by_split(groups, split_groups(groups, seed=1, shares=SHARES)) == {
        "train": 700, "validation": 100, "test": 200
    }


def test_each_label_is_spread_like_the_whole():
    groups = sizes(900, labels=("a", "b", "c"))
    splits = split_groups(groups, seed=5, shares=SHARES)
    for label in "abc":
        of_label = {root: size for root, size in groups.items() if label in size.labels}
        found = rows_by_split(of_label, {root: splits[root] for root in of_label})
        assert abs(found["train"] - 210) <= 3
        assert abs(found["validation"] - 30) <= 3


def test_rare_labels_do_not_all_end_in_train():
    groups = sizes(200, labels=tuple(f"l{n}" for n in range(200)))
    found = rows_by_split(groups, split_groups(groups, seed=3, shares=SHARES))
    assert found["validation"] >= 10
    assert found["test"] >= 25


@given(st.integers(0, 2**32 - 1), st.integers(3, 40), st.randoms())
def test_the_split_depends_on_seed_and_keys_and_not_on_order(seed: int, count: int, shuffle: Any):
    groups = sizes(count, labels=("a", "b"))
    again = dict(shuffle.sample(list(groups.items()), count))
    assert split_groups(groups, seed=seed, shares=SHARES) == split_groups(again, seed=seed, shares=SHARES)


@given(st.integers(0, 1000), st.lists(st.integers(1, 60), min_size=3, max_size=30))
def test_three_groups_are_enough_for_three_splits(seed: int, rows: list[int]):
    groups = {group_node("g", str(n)): GroupSize({"a": size}) for n, size in enumerate(rows)}
    assert set(split_groups(groups, seed=seed, shares=SHARES).values()) == {"train", "validation", "test"}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_groups_than_splits_still_train(count: int):
    splits = split_groups(sizes(count), seed=0, shares=SHARES)
    assert len(splits) == count
    assert count == 0 or "train" in splits.values()


def test_a_split_without_a_share_stays_empty():
    splits = split_groups(sizes(50), seed=0, shares={"validation": 0, "test": 0.2})
    assert set(splits.values()) == {"train", "test"}


def test_one_huge_group_goes_to_train():
    groups = sizes(20) | {group_node("g", "huge"): GroupSize({"a": 500})}
    assert split_groups(groups, seed=0, shares=SHARES)[group_node("g", "huge")] == "train"


@pytest.mark.parametrize(("shares", "says"), [
    ({"train": 0.5}, "no split 'train'"), ({"test": -1}, "share of test"), ({"test": True}, "share of test"),
    ({"test": float("nan")}, "share of test"), ({"validation": 0.5, "test": 0.5}, "leave at least"),
])
def test_shares_that_make_no_sense_are_named(shares: dict[str, Any], says: str):
    assert says in shares_check(shares)


def test_shares_that_make_sense_pass():
    assert shares_check({}) == shares_check(SHARES) == ""


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 100, 1023, 5000])
def test_the_tree_file_gives_every_proof_and_the_root(tmp_path: Any, count: int):
    leaves = [leaf_hash(str(n).encode()) for n in range(count)]
    path = tmp_path / "tree.bin"
    path.write_bytes(b"".join(leaves))
    manifest.tree_write(path, count)
    if count > 1:
        assert path.read_bytes()[-32:] == merkle_root(leaves)
    with path.open("rb") as file:
        for index in random.Random(1).sample(range(count), min(count, 20)):
            assert manifest.tree_proof(file, count, index) == inclusion_proof(leaves, index)
        with pytest.raises(IndexError):
            manifest.tree_proof(file, count, count)
