"""What is counted while rows are written: the part of the manifest that follows from the rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from training.contract.rows import SPLITS, Row

# What a tokenizer with 50,000 pieces makes of English support talk, and what a chat template adds to a message.
CHARACTERS_PER_TOKEN = 4
TOKENS_PER_MESSAGE = 5


@dataclass(slots=True)
class SplitStatistics:
    """Size of one split. Tokens are an estimate; the trainer counts them exactly before its first step."""

    rows: int = 0
    messages: int = 0
    words: int = 0
    characters: int = 0
    supervised_characters: int = 0

    def add(self, row: Row) -> None:
        """Count one row."""
        self.rows += 1
        self.messages += len(row.messages)
        for message in row.messages:
            self.words += message.content.count(" ") + 1
            self.characters += len(message.content)
            self.supervised_characters += len(message.content) * message.weight

    def to_json(self) -> dict[str, int]:
        """The counts in the manifest."""
        return {
            "rows": self.rows, "messages": self.messages, "words": self.words, "characters": self.characters,
            "supervised_characters": self.supervised_characters,
            "tokens": -(-self.characters // CHARACTERS_PER_TOKEN) + self.messages * TOKENS_PER_MESSAGE,
        }


@dataclass(slots=True)
class Tally:
    """Counts over all rows of a snapshot. Memory grows with the number of groups, not of rows."""

    splits: dict[str, SplitStatistics] = field(default_factory=lambda: {s: SplitStatistics() for s in SPLITS})
    licenses: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    labels: dict[str, Counter[str]] = field(default_factory=lambda: {s: Counter() for s in SPLITS})
    languages: Counter[str] = field(default_factory=Counter)
    groups: set[str] = field(default_factory=set)

    def add(self, row: Row) -> None:
        """Count one row."""
        self.splits[row.split].add(row)
        self.licenses[row.license] += 1
        self.sources[row.source] += 1
        # Rows without a label are counted by name, so that the labels of a split add up to its rows.
        self.labels[row.split][row.label or "(none)"] += 1
        if row.extra.get("language"):
            self.languages[row.extra["language"]] += 1
        self.groups.add(row.group)

    @property
    def rows(self) -> int:
        """Rows of all splits."""
        return sum(split.rows for split in self.splits.values())

    def to_json(self) -> dict[str, Any]:
        """The counts as keys of the manifest."""
        return {
            "rows": self.rows, "licenses": dict(sorted(self.licenses.items())),
            "sources": dict(sorted(self.sources.items())), "languages": dict(sorted(self.languages.items())),
            "labels": {split: dict(sorted(counts.items())) for split, counts in self.labels.items()},
            "groups": len(self.groups),
            "token_statistics": {
                "method": f"characters / {CHARACTERS_PER_TOKEN} + {TOKENS_PER_MESSAGE} for each message, estimated",
                "splits": {split: counts.to_json() for split, counts in self.splits.items()},
            },
        }
