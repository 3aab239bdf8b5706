"""Queries for pages and the API, and counts for the gauges."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, TypeVar

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


def sources_list(params: Any) -> QuerySet[Source]:
    """Sources whose name holds `q`."""
    rows = Source.objects.select_related("owner")
    q = str(params.get("q") or "").replace("\x00", "").strip()
    return rows.filter(name__icontains=q) if q else rows


FILTERS = (
    ("source", "source__name"), ("label", "label"), ("status", "status"), ("kind", "kind"), ("language", "language"),
    ("group", "group_key"), ("external_id", "external_id"),
)


def is_filtered(params: Any) -> bool:
    """Whether any filter is set."""
    return any(params.get(name) for name, _ in (*FILTERS, ("duplicates", "")))


def examples_list(params: Any) -> QuerySet[Example]:
    """Examples filtered by source, label, status, kind, language, duplicates (yes, no) and group. Unknown values find
    nothing."""
    rows = Example.objects.select_related("source")
    for name, field in FILTERS:
        if value := str(params.get(name) or "").replace("\x00", ""):
            rows = rows.filter(**{field: value})
    duplicates = params.get("duplicates")
    if duplicates in ("yes", "no"):
        rows = rows.filter(duplicate_of__isnull=duplicates == "no")
    return _in_any_source(rows, params)


def deliveries_list(params: Any) -> QuerySet[Capture]:
    """Captures filtered by source, status (received, processed, dead) and external_id. Unknown values find nothing."""
    rows = Capture.objects.select_related("source").defer("payload")
    for name, field in (("source", "source__name"), ("status", "status"), ("external_id", "external_id")):
        if value := str(params.get(name) or "").replace("\x00", ""):
            rows = rows.filter(**{field: value})
    return _in_any_source(rows, params)


def _in_any_source(rows: QuerySet[R], params: Any) -> QuerySet[R]:
    # The only index on the external id begins with the source. Naming every source, which are few, lets it be used.
    if params.get("external_id") and not params.get("source"):
        return rows.filter(source__in=list(Source.objects.values_list("pk", flat=True)))
    return rows


def dead_captures(*, source: Source | None = None) -> QuerySet[Capture]:
    """Captures that could not be processed."""
    rows = Capture.objects.filter(status=Capture.Status.DEAD).select_related("source").defer("payload")
    return rows.filter(source=source) if source else rows


def imports_of(source: Source) -> QuerySet[FileImport]:
    """Files captured into a source, the newest first."""
    return FileImport.objects.filter(source=source).order_by("-pk")
