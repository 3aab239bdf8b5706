"""Queries for pages and the API, and counts for the gauges."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TypeVar

from django.db.models import QuerySet

from flywheel.capture.domain.conversation import conversation_of, looks_like_name
from flywheel.capture.domain.redaction import SUBJECT, Given
from flywheel.capture.models import Capture, Example, FileImport, Source

R = TypeVar("R", Capture, Example)


@dataclass(frozen=True, slots=True)
class Spoken:
    """What is known of an example when more is written about it.

    Its own texts with their redacted form, the people and products named in it, and the placeholders of found values.
    """

    texts: list[str]
    redacted: list[str]
    names: list[str]
    things: list[str]
    given: list[Given]


def spoken_of(example: Example) -> Spoken:
    """What a search for personal data in an answer must know. The example must come with its capture and source."""
    texts = [example.subject_line, *(str(message.get("text", "")) for message in example.conversation)]
    redacted = [example.redacted_subject_line, *(str(message.get("text", "")) for message in example.redacted)]
    given = [
        (span["type"], texts[span["message"] - SUBJECT][span["start"] : span["end"]], span["placeholder"])
        for span in example.pii if span["message"] - SUBJECT < len(texts)
    ]
    authors = zip(example.conversation, example.redacted, strict=False)
    given += [
        ("PERSON", a["author"], b["author"]) for a, b in authors
        if a.get("author") and b.get("author") and a["author"] != b["author"]
    ]
    names = [*_names_delivered(example), *(value for kind, value, _ in given if kind == "PERSON")]
    return Spoken(texts, redacted, list(dict.fromkeys(names)), example.source.product_names, given)


def _names_delivered(example: Example) -> list[str]:
    # The delivery may name people who wrote nothing. An erased payload cannot be read, so the authors are left.
    try:
        return conversation_of(json.loads(example.capture.payload)).names
    except ValueError:
        return [m["author"] for m in example.conversation if looks_like_name(str(m.get("author", "")))]


def dead_captures(*, source: Source | None = None) -> QuerySet[Capture]:
    """Captures that could not be processed."""
    rows = Capture.objects.filter(status=Capture.Status.DEAD).select_related("source").defer("payload")
    return rows.filter(source=source) if source else rows


def imports_of(source: Source) -> QuerySet[FileImport]:
    """Files captured into a source, the newest first."""
    return FileImport.objects.filter(source=source).order_by("-pk")
