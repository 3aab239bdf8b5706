"""Labels on stretches of a text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from annotation.controls.base import Body, Control


@dataclass(frozen=True, kw_only=True)
class Labels(Control):
    """Its plain value is a list of bodies `{start, end, labels, text}` with offsets in characters."""

    tag: ClassVar[str] = "Labels"
    type: ClassVar[str] = "labels"
    child: ClassVar[str] = "Label"
    several: ClassVar[bool] = True

    def document_problem(self, tag: str, name: str) -> str:
        if tag == "Text":
            return ""
        return (
            f"<Labels name=\"{self.name}\"> needs a <Text>, and {name} is <{tag}>; show it once more as "
            "<Text name=\"…\" value=\"$text\"/> and name that in toName"
        )

    def clean(self, body: Body, text: str) -> Body:
        start, end, labels = body.get("start"), body.get("end"), body.get("labels", [])
        if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start < end <= len(text):
            raise self.error(f": {start!r} to {end!r} is not a stretch of a text of {len(text)} characters")
        if not isinstance(labels, list) or not labels:
            raise self.error(f": the stretch {start} to {end} has no label")
        # The text is taken from the document and not from the request, so that a stretch always says what is there.
        return {"start": start, "end": end, "text": text[start:end], "labels": self.known_values(labels)}

    def to_result(self, value: Any) -> list[Body]:
        return [dict(span) for span in value]

    def from_result(self, bodies: Sequence[Body]) -> Any:
        return list(bodies)

    def from_post(self, values: Sequence[str]) -> Any:
        try:
            spans = json.loads((values[0] if values else "") or "[]")
        except ValueError:
            return []
        return [span for span in spans if isinstance(span, dict)] if isinstance(spans, list) else []

    def words(self, bodies: Sequence[Body]) -> list[str]:
        return [str(label) for body in bodies for label in body.get("labels", [])]

    def summary(self, value: Any) -> str:
        return "; ".join(f"{self.labels_of(span['labels'])}: “{span.get('text', '')}”" for span in value)

    def distance(self, one: Any, other: Any) -> float:
        """1 less the F1 score of labelled characters: an overlap counts for what it covers."""
        first, second = (
            {
                (place, label)
                for span in spans or () for label in span["labels"] for place in range(span["start"], span["end"])
            }
            for spans in (one, other)
        )
        total = len(first) + len(second)
        return 1 - 2 * len(first & second) / total if total else 0.0
