"""How an answer relates to the suggestion that was shown: distance, use, difference by word."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rapidfuzz.distance import LCSseq, Levenshtein

REPLACED_ABOVE = 0.8
"""An answer further from its suggestion than this was written anew."""

DIFF_LIMIT = 100_000_000
"""Words of one text times words of the other up to which they are compared word by word: some tenths of a second."""


def edit_distance(suggestion: str, answer: str) -> float:
    """Levenshtein distance by character over the longer length: 0 the same, 1 nothing in common."""
    # Spaces at the ends are ignored, because a text area adds or drops them without the annotator.
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
    """The difference of two texts by word; placeholders such as <EMAIL_1> are one word.

    A longest common subsequence, whose time is bounded whatever the words are; texts that are too long for it are shown
    as replaced between what they begin and end with alike.
    """
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    pieces: list[Piece] = []
    gone, come = "", ""
    for same, i, j, k, m in _stretches(old, new):
        if not same:
            gone, come = gone + "".join(old[i:j]), come + "".join(new[k:m])
            continue
        pieces += [piece for piece in (Piece("del", gone), Piece("ins", come)) if piece.text]
        pieces.append(Piece("same", "".join(old[i:j])))
        gone, come = "", ""
    return pieces + [piece for piece in (Piece("del", gone), Piece("ins", come)) if piece.text]


def _stretches(old: list[str], new: list[str]) -> list[tuple[bool, int, int, int, int]]:
    """Runs of words as (whether they are the same, begin and end in `old`, begin and end in `new`)."""
    # Most edits change little, so what both texts begin and end with is cut off before the expensive comparison.
    head = _alike(old, new)
    tail = _alike(old[head:][::-1], new[head:][::-1])
    inner, other = old[head : len(old) - tail], new[head : len(new) - tail]
    found = [(True, 0, head, 0, head)] if head else []
    # The time grows with the product of the lengths, and longer texts would hold a web process for seconds.
    if len(inner) * len(other) > DIFF_LIMIT:
        found.append((False, head, head + len(inner), head, head + len(other)))
    else:
        found += [
            (step.tag == "equal", head + step.src_start, head + step.src_end, head + step.dest_start,
             head + step.dest_end)
            for step in LCSseq.opcodes(inner, other)
        ]
    if tail:
        found.append((True, len(old) - tail, len(old), len(new) - tail, len(new)))
    return found


def _alike(first: list[str], second: list[str]) -> int:
    """How many words two lists begin with alike."""
    for index, (one, other) in enumerate(zip(first, second, strict=False)):
        if one != other:
            return index
    return min(len(first), len(second))


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What annotators did with the suggestions of one origin (the agent, or a model by name).

    `distance` is the mean edit distance, 0 for the same text and 1 for an all new one; None before any was answered.
    """

    name: str
    accepted: int
    edited: int
    replaced: int
    distance: float | None

    @property
    def shown(self) -> int:
        """All suggestions that were answered."""
        return self.accepted + self.edited + self.replaced

    def share(self, count: int) -> float | None:
        """A count as a share of all that were answered; None when none was."""
        return count / self.shown if self.shown else None

    @property
    def rate(self) -> float | None:
        """The share that was accepted unchanged."""
        return self.share(self.accepted)
