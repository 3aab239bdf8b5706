"""Equal and nearly equal texts: shingles, Jaccard similarity and MinHash bands.

Two texts are near-duplicates when the Jaccard similarity of their character shingles is at least `NEAR`; MinHash bands
(Broder 1997; Leskovec, Rajaraman, Ullman, "Mining of Massive Datasets", 3.4) only find the candidates.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterable, Sequence

SHINGLE = 5
NEAR = 0.8
BANDS = 16
ROWS = 8
PERMUTATIONS = BANDS * ROWS
_AT_ONCE = 20_000

COMPARED = 100_000
"""Characters of a text that are compared. Conversations are shorter; the limit bounds the cost of pasted logs."""

_WORDS = re.compile(r"<[A-Z][A-Z_]*_\d+>|\w+")
_NUMBERED = re.compile(r"^<([A-Z][A-Z_]*)_\d+>$")


def comparable(texts: Iterable[str]) -> str:
    """The words of a conversation, case, punctuation and spacing gone; a placeholder counts by its type."""
    words = (word for text in texts for word in _WORDS.findall(text))
    return " ".join(_NUMBERED.sub(r"<\1>", word) if word[0] == "<" else word.casefold() for word in words)


def text_sha256(text: str) -> str:
    """Fingerprint of a comparable text: equal for exact duplicates."""
    return hashlib.sha256(text.encode()).hexdigest()


def shingles(text: str) -> set[bytes]:
    """All runs of `SHINGLE` characters among the first `COMPARED`; the text itself when it is shorter."""
    text = text[:COMPARED]
    if len(text) <= SHINGLE:
        return {text.encode()}
    return {text[i : i + SHINGLE].encode() for i in range(len(text) - SHINGLE + 1)}


def near(a: str, b: str) -> bool:
    """Whether two comparable texts are near-duplicates."""
    return near_shingles(shingles(a), shingles(b))


def near_shingles(one: set[bytes], other: set[bytes]) -> bool:
    """The same for the shingles of two texts."""
    # The similarity cannot exceed the ratio of the sizes, so most candidates need no intersection.
    if min(len(one), len(other)) < NEAR * max(len(one), len(other)):
        return False
    common = len(one & other)
    return common >= NEAR * (len(one) + len(other) - common)


def band_digests(texts: Sequence[str]) -> list[list[int]]:
    """For each comparable text its `BANDS` band keys: signed 64-bit, a different range of values for each band."""
    # Imported here, because it imports SciPy, which takes seconds that web processes need not spend.
    from datasketch import MinHash

    found = []
    for text in texts:
        sketch = MinHash(num_perm=PERMUTATIONS, seed=1, scheme="affine32", hashfunc=zlib.crc32)
        grams = list(shingles(text))
        for start in range(0, len(grams), _AT_ONCE):
            # In pieces, because the library's working memory is their number times the permutations.
            sketch.update_batch(grams[start : start + _AT_ONCE])
        values = sketch.hashvalues
        keys = []
        for band in range(BANDS):
            rows = values[band * ROWS : (band + 1) * ROWS].tobytes()
            # Keyed by the band, so that one index over the digest serves all bands and no two of them can meet.
            digest = hashlib.blake2b(rows, digest_size=8, key=bytes([band])).digest()
            # Signed, because the databases' 64-bit integers are.
            keys.append(int.from_bytes(digest, "big", signed=True))
        found.append(keys)
    return found
