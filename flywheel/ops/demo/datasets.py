"""What a turn is made of: conversations, their terms, and what an annotator answers. Here the shipped sample.

A person's own files are `own_files`; turning the wheel with either is `turn`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from django.conf import settings

from flywheel.capture.models import Example
from flywheel.capture.services import Outcome, capture_bulk, sample_sources_ensure
from flywheel.core.errors import ValidationFailed
from flywheel.core.models import User
from provenance.services import consent_import

SAMPLE = Path(settings.BASE_DIR) / "flywheel" / "capture" / "sample"
LEAST = 5
"""Conversations that a turn needs: one for each split, and two left over for the model's suggestions."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a demo annotator submits: a reply and how good the agent's own was, or why the task is skipped."""

    reply: str
    quality: str = "good"
    skip: str = ""


class Material(Protocol):
    """What `turn` needs: what it is called, the sources captured from, and what a person should know of it."""

    name: str
    sources: list[str]
    notes: list[str]

    def plan(self, limit: int | None) -> int:
        """Decide which conversations are taken; returns how many.

        Raises ValidationFailed for files that cannot be read.
        """

    def capture(self, *, by: User) -> Iterator[Outcome]:
        """Make the sources and capture what was planned; tells what became of each conversation."""

    def consent(self, *, by: User) -> None:
        """Record what the conversations may be used for."""

    def answer(self, example: Example) -> Answer:
        """What an annotator submits for this conversation."""


class SampleMaterial:
    """The shipped sample."""

    name = "the sample"

    def __init__(self) -> None:
        self._answers = {(row["source"], row["external_id"]): row for row in _jsonl(SAMPLE / "answers.jsonl")}
        self._rows: list[dict[str, str]] = []
        self.sources: list[str] = []
        self.notes: list[str] = []

    def plan(self, limit: int | None) -> int:
        """Calls first, so that a small limit holds some of both kinds."""
        calls, tickets = _jsonl(SAMPLE / "calls.jsonl"), _jsonl(SAMPLE / "tickets.jsonl")
        share = len(calls) if limit is None else max(1, limit // 10)
        self._rows = [*calls[:share], *tickets][:limit]
        return len(self._rows)

    def capture(self, *, by: User) -> Iterator[Outcome]:
        """Make the sample's sources and capture."""
        self.sources = sample_sources_ensure(owner=by, by=by)
        yield from capture_bulk(source=None, lines=self._rows, by=by)

    def consent(self, *, by: User) -> None:
        """Import the consents of the sample's customers."""
        consent_import(rows=_jsonl(SAMPLE / "consents.jsonl"), by=by)

    def answer(self, example: Example) -> Answer:
        """The written answer to this conversation."""
        row = self._answers[example.source.name, example.external_id]
        quality = {"good": "good", "needs_work": "needs_edits", "bad": "wrong"}[row["quality"]]
        return Answer(reply=row["reply"], quality=quality, skip=row.get("skip", ""))


def plan(material: Material, limit: int | None) -> int:
    """Have the material decide what is taken. Returns how many; raises ValidationFailed for too few to make a turn."""
    count = material.plan(limit)
    if count >= LEAST:
        return count
    if limit is not None and limit < LEAST:
        raise ValidationFailed(f"LIMIT is {limit}; a turn needs at least {LEAST} conversations")
    raise ValidationFailed(f"a turn needs at least {LEAST} conversations; {material.name} holds {count}")


def _jsonl(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]
