"""Merkle tree over snapshot rows, as RFC 9162 section 2.1 defines it.

A leaf is SHA-256(0x00 || bytes), a node SHA-256(0x01 || left || right). The bytes of a row are its canonical JSON
(RFC 8785).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Root of the tree with no leaves (RFC 9162, 2.1.1)."""


def leaf_hash(data: bytes) -> bytes:
    """Hash of one leaf, 32 bytes."""
    # Without the prefixes an inner node could pass as a leaf, which makes a second preimage easy (RFC 9162, 2.1.1).
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node, 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class MerkleTree:
    """Builds the root of a stream of leaves in O(log n) memory.

    Keeps the roots of the perfect subtrees to the left, largest first; two of equal size merge at once.
    """

    def __init__(self) -> None:
        self._peaks: list[tuple[int, bytes]] = []
        self.size = 0

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash (32 bytes, from `leaf_hash`)."""
        # Like carrying in binary addition: the peaks are the set bits of `size`.
        level, node = 0, leaf
        while self._peaks and self._peaks[-1][0] == level:
            _, left = self._peaks.pop()
            node, level = node_hash(left, node), level + 1
        self._peaks.append((level, node))
        self.size += 1

    def root(self) -> bytes:
        """Root hash of the leaves so far, 32 bytes."""
        if not self._peaks:
            return EMPTY_ROOT
        node = self._peaks[-1][1]
        for _, left in reversed(self._peaks[:-1]):
            node = node_hash(left, node)
        return node


def merkle_root(leaves: Iterable[bytes]) -> bytes:
    """Root of leaf hashes, 32 bytes."""
    tree = MerkleTree()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Sibling hashes from leaf `index` up to the root (RFC 9162, 2.1.3.1).

    Raises IndexError when the tree has no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} is not among {len(leaves)} leaves")
    level, path, at = list(leaves), [], index
    while len(level) > 1:
        sibling = at ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        pairs = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        # An odd last node moves up unchanged, which is how the RFC's largest-power-of-two split looks from below.
        level = pairs + level[len(level) & ~1 :]
        at //= 2
    return path


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `proof` shows that `leaf` is number `index` of `size` under `root` (RFC 9162, 2.1.3.2)."""
    # The names follow section 2.1.3.2: `at` is fn, `last` is sn.
    if not 0 <= index < size:
        return False
    at, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            node = node_hash(sibling, node)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        at, last = at >> 1, last >> 1
    return last == 0 and node == root
