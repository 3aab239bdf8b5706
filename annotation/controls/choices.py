"""One choice, or several, out of a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from xml.etree.ElementTree import Element

from annotation.controls.base import Body, Control, Option, one_of


@dataclass(frozen=True, kw_only=True)
class Choices(Control):
    """`multiple` lets several be chosen."""

    tag: ClassVar[str] = "Choices"
    type: ClassVar[str] = "choices"
    child: ClassVar[str] = "Choice"
    holds: ClassVar[str] = "label"

    multiple: bool = False

    @classmethod
    def attributes(cls, element: Element) -> dict[str, Any]:
        return {"multiple": one_of(element, "choice", ("single", "single-radio", "multiple")) == "multiple"}

    def clean(self, body: Body, text: str) -> Body:
        chosen = body.get("choices", [])
        chosen = [chosen] if isinstance(chosen, str) else chosen
        if not isinstance(chosen, list):
            raise self.error(": value.choices must be a list")
        known = self.known_values(chosen)
        if len(chosen) > 1 and not self.multiple:
            raise self.error(f" takes one choice and was given {len(chosen)}")
        return {"choices": known}

    def is_empty(self, body: Body) -> bool:
        return not body["choices"]

    def to_result(self, value: Any) -> list[Body]:
        return [{"choices": [value] if isinstance(value, str) else list(value)}]

    def from_post(self, values: Sequence[str]) -> Any:
        return [value for value in values if value]

    def is_chosen(self, option: Option, value: Any) -> bool:
        return option.value in (value if isinstance(value, list) else [value])

    def words(self, bodies: Sequence[Body]) -> list[str]:
        chosen = bodies[0].get("choices", []) if bodies else []
        return [chosen] if isinstance(chosen, str) else [str(value) for value in chosen]

    def summary(self, value: Any) -> str:
        return self.labels_of(value)

    def distance(self, one: Any, other: Any) -> float:
        """Share of the choices of either that only one of them has (Jaccard distance); nominal for single choices."""
        first, second = set(one or ()), set(other or ())
        return 1 - len(first & second) / len(first | second) if first | second else 0.0
