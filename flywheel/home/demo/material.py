"""What a turn is made of: the shipped sample with its written answers, or a person's own dialogues.

Own dialogues come with their licence and a recorded basis; what the annotators submit for them is the dialogue's real
assistant turn, or its label where there is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from django.conf import settings

from flywheel.capture.models import Example, Source
from flywheel.capture.services import capture_bulk, sample_sources_ensure, source_create
from flywheel.core.errors import Invalid
from flywheel.core.models import User
from provenance.services import consent_import, lawful_basis_record

SAMPLE = Path(settings.BASE_DIR) / "flywheel" / "capture" / "sample"
PURPOSES = ["sft", "continued_pretraining", "evaluation"]

# Licences and documents of the public data sets whose formats are known; anything else has to name its own.
KNOWN_TERMS = {
    "taskmaster4": ("CC-BY-4.0", "Taskmaster-4 data set card: dialogues written by paid crowd workers"),
    "sgd": ("CC-BY-SA-4.0", "Schema-Guided Dialogue data set card: simulated and paraphrased by paid crowd workers"),
    "banking77": ("CC-BY-4.0", "Banking77 data set card: anonymised customer questions"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a demo annotator submits: a reply and how good the agent's own was, or why the task is skipped."""

    reply: str
    quality: str = "good"
    skip: str = ""


class SampleMaterial:
    """The shipped sample."""

    name = "sample"

    def __init__(self) -> None:
        rows = _jsonl(SAMPLE / "answers.jsonl")
        self._answers = {(row["source"], row["external_id"]): row for row in rows}
        self.sources: list[str] = []

    def capture(self, *, by: User, limit: int | None) -> Iterator[str]:
        """Make the sources and capture; yields the outcome of each conversation."""
        self.sources = sample_sources_ensure(owner=by, by=by)
        # Calls first, so that a small limit holds some of both kinds.
        calls, tickets = _jsonl(SAMPLE / "calls.jsonl"), _jsonl(SAMPLE / "tickets.jsonl")
        share = len(calls) if limit is None else max(1, limit // 10)
        rows = [*calls[:share], *tickets][:limit]
        for outcome in capture_bulk(source=None, lines=rows, by=by):
            yield outcome.status

    def consent(self, *, by: User) -> None:
        """Import the consents of the sample's customers."""
        consent_import(rows=_jsonl(SAMPLE / "consents.jsonl"), by=by)

    def answer(self, example: Example) -> Answer:
        """The written answer to this conversation."""
        row = self._answers[example.source.name, example.external_id]
        quality = {"good": "good", "needs_work": "needs_edits", "bad": "wrong"}[row["quality"]]
        return Answer(reply=row["reply"], quality=quality, skip=row.get("skip", ""))


class FileMaterial:
    """Dialogues in a file or folder."""

    name = "files"

    def __init__(self, path: Path, licence: str) -> None:
        from flywheel.capture.connectors.files import detect_format

        if not path.exists():
            raise Invalid(f"DATA is {path}; there is no such file or folder")
        self.path = path
        self.format = detect_format(path)
        known = KNOWN_TERMS.get(self.format)
        self.licence, self.document = (licence, "terms named on the command line") if licence else known or ("", "")
        self.sources = [f"demo-{self.format.replace('_', '-')}"]

    def capture(self, *, by: User, limit: int | None) -> Iterator[str]:
        """Make the source and capture; yields the outcome of each conversation."""
        from flywheel.capture.services import file_import

        source = Source.objects.filter(name=self.sources[0]).first() or source_create(
            name=self.sources[0], owner=by, by=by, kind=Source.Kind.FILES, license_spdx=self.licence, region="EU",
            purposes=PURPOSES, consent_policy=Source.ConsentPolicy.RECORDED_BASIS,
        )
        for outcome in file_import(path=self.path, source=source, by=by, limit=limit):
            yield outcome.status

    def consent(self, *, by: User) -> None:
        """Record the basis on which these dialogues are used, when there is a document that says so."""
        if self.document:
            lawful_basis_record(
                source_system=self.sources[0], basis="eu-gdpr:A6-1-f", purposes=PURPOSES, document=self.document, by=by
            )

    def answer(self, example: Example) -> Answer:
        """The dialogue's real assistant turn as annotators see it, or its label."""
        turns = example.redacted[example.context_length :]
        reply = turns[0]["text"] if turns else example.label
        return Answer(reply=reply) if reply else Answer(reply="", skip="no reply in the dialogue")


def _jsonl(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in islice(file, 100_000) if line.strip()]
