"""`tree.bin`: the root and every inclusion proof from one file."""

from __future__ import annotations

import random
from typing import Any

import pytest

from training.contract.merkle import inclusion_proof, leaf_hash, merkle_root
from training.contract.snapshot import tree_proof, tree_write


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 8, 9, 100, 1023, 5000])
def test_the_tree_file_gives_every_proof_and_the_root(tmp_path: Any, count: int):
    leaves = [leaf_hash(str(n).encode()) for n in range(count)]
    path = tmp_path / "tree.bin"
    path.write_bytes(b"".join(leaves))
    tree_write(path, count)
    if count > 1:
        assert path.read_bytes()[-32:] == merkle_root(leaves)
    with path.open("rb") as file:
        for index in random.Random(1).sample(range(count), min(count, 20)):
            assert tree_proof(file, count, index) == inclusion_proof(leaves, index)
        with pytest.raises(IndexError):
            tree_proof(file, count, count)
