"""Free text: the corrected reply, and whatever else is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, ClassVar
from xml.etree.ElementTree import Element

from annotation.controls.base import Body, Control, whole_number

MAX_TEXT = 20_000


@dataclass(frozen=True, kw_only=True)
class TextArea(Control):
    """`rows` is the height of the field in lines."""

    tag: ClassVar[str] = "TextArea"
    type: ClassVar[str] = "textarea"
    text_key: ClassVar[str] = "text"
    holds: ClassVar[str] = "reply"

    rows: int = 6
    placeholder: str = ""

    @classmethod
    def attributes(cls, element: Element) -> dict[str, Any]:
        return {
            "rows": whole_number(element, "rows", default=6, low=1, high=30),
            "placeholder": element.get("placeholder", ""),
        }

    def clean(self, body: Body, text: str) -> Body:
        parts = body.get("text", [])
        parts = [parts] if isinstance(parts, str) else parts
        if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
            raise self.error(": value.text must be a list of texts")
        length = sum(len(part) for part in parts)
        if length > MAX_TEXT:
            raise self.error(f" has {length:,} characters; at most {MAX_TEXT:,} are taken, so shorten it")
        return {"text": [part.strip() for part in parts if part.strip()]}

    def is_empty(self, body: Body) -> bool:
        return not body["text"]

    def to_result(self, value: Any) -> list[Body]:
        return [{"text": [value] if isinstance(value, str) else list(value)}]

    def from_result(self, bodies: Sequence[Body]) -> Any:
        return "\n\n".join(self.words(bodies))

    def words(self, bodies: Sequence[Body]) -> list[str]:
        texts = bodies[0].get("text", []) if bodies else []
        return [texts] if isinstance(texts, str) else [str(part) for part in texts]

    def distance(self, one: Any, other: Any) -> float:
        """Share of words that differ, by the longest matching runs."""
        return 1 - SequenceMatcher(None, str(one).split(), str(other).split(), autojunk=False).ratio()
