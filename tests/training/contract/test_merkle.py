"""The Merkle tree against RFC 9162's definition written down again, recursively."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.contract import EMPTY_ROOT, inclusion_proof, leaf_hash, merkle_root, verify_inclusion


def by_definition(leaves: list[bytes]) -> bytes:
    """RFC 9162, 2.1.1: split at the largest power of two smaller than n."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + by_definition(leaves[:k]) + by_definition(leaves[k:])).digest()


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_the_root_is_the_rfcs(data: list[bytes]) -> None:
    leaves = [leaf_hash(d) for d in data]
    assert merkle_root(leaves) == by_definition(leaves)


def test_the_empty_root_is_the_hash_of_nothing() -> None:
    assert merkle_root([]) == EMPTY_ROOT
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@given(st.integers(1, 33), st.data())
def test_every_leaf_proves_itself_and_no_other(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(bytes([i])) for i in range(size)]
    index = data.draw(st.integers(0, size - 1))
    proof, root = inclusion_proof(leaves, index), merkle_root(leaves)
    assert verify_inclusion(leaves[index], index, size, proof, root)
    assert not verify_inclusion(leaf_hash(b"other"), index, size, proof, root)
    assert not verify_inclusion(leaves[index], index, size, [*proof, root], root)


def test_a_proof_of_no_leaf_is_refused() -> None:
    with pytest.raises(IndexError, match="leaf 3 is not among 3"):
        inclusion_proof([leaf_hash(b"a")] * 3, 3)
    assert not verify_inclusion(leaf_hash(b"a"), 3, 3, [], leaf_hash(b"a"))
