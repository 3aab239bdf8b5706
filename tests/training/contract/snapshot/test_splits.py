"""Splits: no group in two, by seed, stratified, sensible for tiny sets."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.contract.snapshot import GroupSize, group_name, group_node, groups_split, shares_problem

SHARES = {"validation": 0.1, "test": 0.2}


def sizes(count: int, rows: int = 1, labels: tuple[str, ...] = ("a",)) -> dict[int, GroupSize]:
    return {group_node("g", str(n)): GroupSize({labels[n % len(labels)]: rows}) for n in range(count)}


def rows_by_split(groups: dict[int, GroupSize], splits: dict[int, str]) -> Counter[str]:
    found: Counter[str] = Counter()
    for root, split in splits.items():
        found[split] += groups[root].rows
    return found


def test_shares_are_met_within_a_row_for_single_rows():
    groups = sizes(1000)
    assert rows_by_split(groups, groups_split(groups, seed=1, shares=SHARES)) == {
        "train": 700, "validation": 100, "test": 200
    }


def test_each_label_is_spread_like_the_whole():
    groups = sizes(900, labels=("a", "b", "c"))
    splits = groups_split(groups, seed=5, shares=SHARES)
    for label in "abc":
        of_label = {root: size for root, size in groups.items() if label in size.labels}
        found = rows_by_split(of_label, {root: splits[root] for root in of_label})
        assert abs(found["train"] - 210) <= 3
        assert abs(found["validation"] - 30) <= 3


def test_rare_labels_do_not_all_end_in_train():
    groups = sizes(200, labels=tuple(f"l{n}" for n in range(200)))
    found = rows_by_split(groups, groups_split(groups, seed=3, shares=SHARES))
    assert found["validation"] >= 10
    assert found["test"] >= 25


@given(st.integers(0, 2**32 - 1), st.integers(3, 40), st.randoms())
def test_the_split_depends_on_seed_and_keys_and_not_on_order(seed: int, count: int, shuffle: Any):
    groups = sizes(count, labels=("a", "b"))
    again = dict(shuffle.sample(list(groups.items()), count))
    assert groups_split(groups, seed=seed, shares=SHARES) == groups_split(again, seed=seed, shares=SHARES)


@given(st.integers(0, 1000), st.lists(st.integers(1, 60), min_size=3, max_size=30))
def test_three_groups_are_enough_for_three_splits(seed: int, rows: list[int]):
    groups = {group_node("g", str(n)): GroupSize({"a": size}) for n, size in enumerate(rows)}
    assert set(groups_split(groups, seed=seed, shares=SHARES).values()) == {"train", "validation", "test"}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_groups_than_splits_still_train(count: int):
    splits = groups_split(sizes(count), seed=0, shares=SHARES)
    assert len(splits) == count
    assert count == 0 or "train" in splits.values()


def test_a_split_without_a_share_stays_empty():
    splits = groups_split(sizes(50), seed=0, shares={"validation": 0, "test": 0.2})
    assert set(splits.values()) == {"train", "test"}


def test_one_huge_group_goes_to_train():
    groups = sizes(20) | {group_node("g", "huge"): GroupSize({"a": 500})}
    assert groups_split(groups, seed=0, shares=SHARES)[group_node("g", "huge")] == "train"


@pytest.mark.parametrize(("shares", "says"), [
    ({"train": 0.5}, "split 'train' takes no share"), ({"test": -1}, "share of test"), ({"test": True}, "share of test"),
    ({"test": float("nan")}, "share of test"), ({"validation": 0.5, "test": 0.5}, "leave at least"),
])
def test_invalid_shares_are_named(shares: dict[str, Any], says: str):
    assert says in shares_problem(shares)


def test_valid_shares_pass():
    assert shares_problem({}) == shares_problem(SHARES) == ""


def test_keys_of_different_kinds_never_meet():
    assert group_node("near", "1") != group_node("subject", "1")
    assert len(group_name(group_node("near", "x"))) == 16
