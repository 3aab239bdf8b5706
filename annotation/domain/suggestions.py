"""How an answer relates to the suggestion that was shown: distance, use, difference by word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

from rapidfuzz.distance import Levenshtein

REPLACED_ABOVE = 0.8
"""An answer further from its suggestion than this was written anew."""


def edit_distance(suggestion: str, answer: str) -> float:
    """Levenshtein distance by character over the longer length: 0 the same, 1 nothing in common."""
    return float(Levenshtein.normalized_distance(suggestion.strip(), answer.strip()))


def suggestion_use(distance: float) -> str:
    """accepted, edited or replaced (words of Annotation.SuggestionUse)."""
    if distance == 0:
        return "accepted"
    return "replaced" if distance > REPLACED_ABOVE else "edited"


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of words that is kept, inserted or deleted: kind is "same", "ins" or "del"."""

    kind: str
    text: str


_WORDS = re.compile(r"\s+|<[A-Z][A-Z_]*_\d+>|\w+|[^\w\s]")


def word_diff(before: str, after: str) -> list[Piece]:
    """The difference of two texts by word; placeholders such as <EMAIL_1> are one word."""
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    pieces: list[Piece] = []
    for tag, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces.append(Piece("same", "".join(old[i:j])))
            continue
        if i < j:
            pieces.append(Piece("del", "".join(old[i:j])))
        if k < m:
            pieces.append(Piece("ins", "".join(new[k:m])))
    return pieces
