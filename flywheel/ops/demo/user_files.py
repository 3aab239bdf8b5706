"""A person's own dialogues as the material of a turn: read evenly, under terms that are said aloud.

What annotators submit for them is the dialogue's real assistant turn, or its label without such a turn. Reading formats
is the connector's work, and whether the terms allow training is the gate's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from flywheel.capture.connectors import files
from flywheel.capture.models import Example, Source
from flywheel.capture.services import Outcome, Row, capture_bulk, source_create
from flywheel.core.errors import ValidationFailed
from flywheel.core.models import User
from flywheel.ops.demo.datasets import Answer
from provenance.services import lawful_basis_record

PURPOSES = ["sft", "continued_pretraining", "evaluation"]
LOOKED_AT = 100_000
"""Of so many records a limit picks evenly; of more data the beginning is taken."""


@dataclass(frozen=True, slots=True)
class Terms:
    """A licence, the document that says on what basis people's words are used, and the data set's name."""

    licence: str
    document: str
    name: str


# The public data sets whose formats are known; anything else has to name its own licence.
KNOWN_TERMS = {
    "taskmaster4": Terms("CC-BY-4.0", "data set card: dialogues written by paid crowd workers", "Taskmaster-4"),
    "sgd": Terms(
        "CC-BY-SA-4.0", "data set card: simulated and paraphrased by paid crowd workers", "Schema-Guided Dialogue"
    ),
    "banking77": Terms("CC-BY-4.0", "data set card: anonymised customer questions", "Banking77"),
}


class FileMaterial:
    """The conversations of a file, or of all files in a folder; each format is a source with its own terms."""

    def __init__(self, path: Path, licence: str = "") -> None:
        """See what the files hold. Raises ValidationFailed when none holds conversations."""
        path = path.expanduser()
        self.name = str(path)
        self._files = _opened(path)
        self._terms = {opened.format: _terms(opened.format, licence) for opened in self._files}
        self.sources = [_source_name(format) for format in self._terms]
        self.notes = [_note(format, terms, named=bool(licence)) for format, terms in self._terms.items()]
        self._count = self._planned = 0

    def plan(self, limit: int | None) -> int:
        """A limit takes records evenly from all of them: files are often sorted, Banking77 by what it teaches."""
        self._count = sum(1 for _ in islice(self._rows(), None if limit is None else max(limit, LOOKED_AT)))
        self._planned = self._count if limit is None else min(limit, self._count)
        return self._planned

    def capture(self, *, by: User) -> Iterator[Outcome]:
        """Make a source for each format and capture what was planned."""
        for format, terms in self._terms.items():
            if not Source.objects.filter(name=_source_name(format)).exists():
                source_create(
                    name=_source_name(format), owner=by, by=by, kind="files", license_spdx=terms.licence,
                    region="EU", purposes=PURPOSES, consent_policy=Source.ConsentPolicy.RECORDED_BASIS,
                )
        picked = {number * self._count // self._planned for number in range(self._planned)}
        rows = (row for number, row in enumerate(islice(self._rows(), self._count)) if number in picked)
        yield from capture_bulk(source=None, lines=rows, by=by)

    def consent(self, *, by: User) -> None:
        """Record the basis on which these dialogues are used, where there is a document that says so."""
        for format, terms in self._terms.items():
            if terms.document:
                lawful_basis_record(
                    source_system=_source_name(format), basis="eu-gdpr:A6-1-f", purposes=PURPOSES, by=by,
                    document=f"{terms.name} {terms.document}".strip(),
                )

    def answer(self, example: Example) -> Answer:
        """The dialogue's real assistant turn as annotators see it, or its label."""
        turns = example.redacted[example.context_length :]
        reply = turns[0]["text"] if turns else example.label
        return Answer(reply=reply) if reply else Answer(reply="", skip="no reply in the dialogue")

    def _rows(self) -> Iterator[Row]:
        """Every record of every file, each naming the source of its format."""
        for opened in self._files:
            source = _source_name(opened.format)
            try:
                for row in opened.rows():
                    content = row.content | {"source": source} if isinstance(row.content, dict) else row.content
                    yield Row(row.line, content)
            except (files.UnreadableFile, OSError) as error:
                raise ValidationFailed(str(error)) from None


def _opened(path: Path) -> list[files.Opened]:
    """The files that hold conversations; a folder may hold others beside them."""
    found, problem = [], f"{path} holds no file with conversations; expected .csv, .json, .jsonl or .zip"
    try:
        for file in files.files_below(path):
            try:
                found.append(files.open_file(file))
            except files.UnreadableFile as error:
                if not path.is_dir():
                    raise
                problem = str(error)
    except (files.UnreadableFile, OSError) as error:
        raise ValidationFailed(str(error)) from None
    if not found:
        raise ValidationFailed(problem)
    return found


def _terms(format: str, licence: str) -> Terms:
    if licence:
        return Terms(licence, "terms named on the command line", "")
    return KNOWN_TERMS.get(format, Terms("", "", ""))


def _note(format: str, terms: Terms, *, named: bool) -> str:
    if named:
        return f"{format}: under {terms.licence}, as named on the command line"
    if terms.licence:
        return f"{format}: taken for {terms.name} under {terms.licence} by its format; LICENSE= names another licence"
    return f"{format}: no licence is known, so the gate will refuse it; name it with LICENSE=, e.g. LICENSE=CC-BY-4.0"


def _source_name(format: str) -> str:
    return "demo-" + re.sub(r"[^a-z0-9]+", "-", format.lower()).strip("-")
