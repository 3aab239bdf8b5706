"""`tree.bin`: all levels of the Merkle tree in one file, so that a proof is a few reads however many rows there are."""

from __future__ import annotations

from pathlib import Path
from typing import IO

from training.contract.merkle import node_hash

HASH_BYTES = 32
NODES_AT_ONCE = 4096
"""Nodes held in memory while a level is computed."""


def tree_write(path: Path, leaves: int) -> None:
    """Append all upper levels to a file of `leaves` leaf hashes, 32 bytes each, lowest level first.

    An odd last node moves up unchanged, as in RFC 9162, section 2.1.1. Constant memory.
    """
    with path.open("r+b") as file:
        start, count = 0, leaves
        while count > 1:
            end = start + count * HASH_BYTES
            # An even number of nodes at a time, so that a pair is never divided between two reads.
            for first in range(0, count, NODES_AT_ONCE):
                file.seek(start + first * HASH_BYTES)
                data = file.read(min(NODES_AT_ONCE, count - first) * HASH_BYTES)
                nodes = [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]
                pairs = [nodes[i : i + 2] for i in range(0, len(nodes), 2)]
                # Reading and writing share one file: the level above starts right behind this one.
                file.seek(end + first // 2 * HASH_BYTES)
                file.write(b"".join(node_hash(*pair) if len(pair) == 2 else pair[0] for pair in pairs))
            start, count = end, (count + 1) // 2


def tree_proof(file: IO[bytes], leaves: int, index: int) -> list[bytes]:
    """The inclusion proof of leaf `index` from an open tree file: siblings from the leaf up (RFC 9162, 2.1.3.1).

    Raises IndexError when the tree has no such leaf.
    """
    if not 0 <= index < leaves:
        raise IndexError(f"leaf {index} is not among {leaves} leaves")
    proof, start, count = [], 0, leaves
    while count > 1:
        sibling = index ^ 1
        # An odd last node has no sibling on this level.
        if sibling < count:
            file.seek(start + sibling * HASH_BYTES)
            proof.append(file.read(HASH_BYTES))
        start, index, count = start + count * HASH_BYTES, index // 2, (count + 1) // 2
    return proof
