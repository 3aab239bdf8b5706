"""How many tokens a base model makes of support talk: measured by the trainer, counted with by the control plane.

What stands as `text` in a base model's `revision.json`. Measuring is left to `training.tokenizer_stats`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

FIGURES = ("characters_per_token", "tokens_per_message", "tokens_without_system")
MOST = 1000
"""Above it what stands beside a base model is no figure of a tokenizer."""

TOKENS_BETWEEN_MESSAGES = 2
"""Of plain text: the blank line between two messages, or the end of the text after the last one."""


@dataclass(frozen=True, slots=True)
class TextFigures:
    """`characters_per_token` inside messages, `tokens_per_message` that the chat template adds to each, and
    `tokens_without_system` that it adds to a conversation which has no system message of its own.

    The defaults are what a tokenizer of 50,000 pieces makes of English and a plain template adds.
    """

    characters_per_token: float = 4.0
    tokens_per_message: float = 5.0
    tokens_without_system: float = 0.0
    measured: bool = False

    def to_json(self) -> dict[str, float]:
        """The figures as they stand beside the base model."""
        return {name: getattr(self, name) for name in FIGURES}

    @classmethod
    def from_json(cls, value: Any) -> TextFigures | None:
        """Figures that were measured; None for what cannot be figures."""
        told: dict[str, Any] = {name: value.get(name) for name in FIGURES} if isinstance(value, dict) else {}
        if not told or not all(type(figure) in (int, float) and 0 <= figure <= MOST for figure in told.values()):
            return None
        return cls(**told, measured=True) if told["characters_per_token"] else None

    def tokens(self, *, rows: int, messages: int, characters: int, method: str, system: bool) -> int:
        """Tokens of a split, as a chat or as plain text. `system`: its rows have a system message of their own."""
        inside = characters / self.characters_per_token
        if method == "continued_pretraining":
            return math.ceil(inside + TOKENS_BETWEEN_MESSAGES * messages)
        opening = 0.0 if system else self.tokens_without_system * rows
        return math.ceil(inside + self.tokens_per_message * messages + opening)
