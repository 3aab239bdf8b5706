"""How many tokens a base model's tokenizer makes of support talk: measured by the trainer, used in first estimates.

Stored as `text` in a base model's `revision.json`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

FIGURES = ("characters_per_token", "tokens_per_message", "tokens_without_system")
MOST = 1000
"""A larger figure cannot come from a tokenizer."""

TOKENS_BETWEEN_MESSAGES = 2
"""In plain text: the blank line between two messages, or the end of the text after the last one."""


@dataclass(frozen=True, slots=True)
class TextFigures:
    """Statistics of a tokenizer and its chat template.

    characters_per_token: inside messages. tokens_per_message: added by the template to each message.
    tokens_without_system: added to a conversation without a system message. The defaults fit a tokenizer with 50,000
    pieces on English text and a plain template.
    """

    characters_per_token: float = 4.0
    tokens_per_message: float = 5.0
    tokens_without_system: float = 0.0
    measured: bool = False

    def to_json(self) -> dict[str, float]:
        """The figures as stored beside the base model."""
        return {name: getattr(self, name) for name in FIGURES}

    @classmethod
    def from_json(cls, value: Any) -> TextFigures | None:
        """Measured figures; None for values that cannot be figures."""
        # The file lies beside a model that may come from anywhere, so it may hold anything.
        stored: dict[str, Any] = {name: value.get(name) for name in FIGURES} if isinstance(value, dict) else {}
        if not stored or not all(type(figure) in (int, float) and 0 <= figure <= MOST for figure in stored.values()):
            return None
        return cls(**stored, measured=True) if stored["characters_per_token"] else None

    def tokens(self, *, rows: int, messages: int, characters: int, method: str, system: bool) -> int:
        """Tokens of a split, as a chat or as plain text. `system`: whether its rows have a system message."""
        inside = characters / self.characters_per_token
        if method == "continued_pretraining":
            return math.ceil(inside + TOKENS_BETWEEN_MESSAGES * messages)
        opening = 0.0 if system else self.tokens_without_system * rows
        return math.ceil(inside + self.tokens_per_message * messages + opening)
