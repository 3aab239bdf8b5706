"""Packing documents into sequences of a fixed length, over the whole split at once, and collating them.

Documents in one sequence do not see one another: positions restart at each, and without an attention mask
transformers builds a block-diagonal one from restarting positions (`transformers.masking_utils`).
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from training.encoding import IGNORE, Document


def best_fit(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Bins of indices with sum of lengths <= capacity: best-fit decreasing, O(n log capacity).

    Uses at most 11/9 of the fewest bins possible, plus one (Johnson 1973). Raises ValueError for a length over
    the capacity.
    """
    bins: list[list[int]] = []
    open_bins: dict[int, list[int]] = {}  # room left -> bins with just that room
    rooms: list[int] = []  # the keys of open_bins, ascending
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        length = lengths[index]
        if length > capacity:
            raise ValueError(f"document {index} has {length} tokens, a sequence holds {capacity}")
        # The fullest bin that still has room.
        at = bisect.bisect_left(rooms, length)
        if at == len(rooms):
            number, room = len(bins), capacity
            bins.append([])
        else:
            room = rooms[at]
            number = open_bins[room].pop()
            if not open_bins[room]:
                del open_bins[room], rooms[at]
        bins[number].append(index)
        left = room - length
        if left:
            if left not in open_bins:
                bisect.insort(rooms, left)
                open_bins[left] = []
            open_bins[left].append(number)
    return bins


def sequences_make(documents: Sequence[Document], max_length: int, packing: bool, seed: int) -> list[dict[str, Any]]:
    """Sequences `{input_ids, labels, position_ids}`; one document each without packing.

    The seed decides which documents of equal length share a sequence, and the order inside it.
    """
    order = list(range(len(documents)))
    # A separate generator, so that the order depends on the seed alone and not on what has drawn before.
    chance = random.Random(seed)  # noqa: S311 - the order must be the same every time, not secret
    chance.shuffle(order)
    if not packing:
        return [_join([documents[i]]) for i in order]
    bins = best_fit([len(documents[i].input_ids) for i in order], max_length)
    for members in bins:
        # Largest first would put every short document at the end of a sequence.
        chance.shuffle(members)
    return [_join([documents[order[i]] for i in members]) for members in bins]


def _join(documents: Sequence[Document]) -> dict[str, Any]:
    return {
        "input_ids": [t for d in documents for t in d.input_ids],
        "labels": [t for d in documents for t in d.labels],
        "position_ids": [p for d in documents for p in range(len(d.input_ids))],
    }


@dataclass(frozen=True, slots=True)
class Collator:
    """Sequences to tensors (batch, longest): padded on the right, no attention mask.

    Each padding token is a separate document (its position is 0), which no real token sees because attention is
    causal. Its label carries no loss, whatever the pad token's id is, so padding with EOS is safe. `real_tokens`
    (batch,) counts the tokens that are not padding; it must be removed before the model sees the batch.
    """

    pad_token_id: int

    def __call__(self, sequences: Sequence[dict[str, Any]]) -> dict[str, Any]:
        import torch

        longest = max(len(s["input_ids"]) for s in sequences)

        def tensor(key: str, fill: int) -> Any:
            return torch.tensor([list(s[key]) + [fill] * (longest - len(s[key])) for s in sequences])

        return {
            "input_ids": tensor("input_ids", self.pad_token_id),
            "labels": tensor("labels", IGNORE),
            "position_ids": tensor("position_ids", 0),
            "real_tokens": torch.tensor([len(s["input_ids"]) for s in sequences]),
        }
