"""A number within limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from xml.etree.ElementTree import Element

from annotation.controls.base import Body, ConfigError, Control

LARGEST = 1e15
"""Whole numbers up to here are exact in JavaScript, and so in every result."""


@dataclass(frozen=True, kw_only=True)
class Number(Control):
    """From `low` to `high` in steps of `step` from `low`; `default` fills an untouched field. None means no limit."""

    tag: ClassVar[str] = "Number"
    type: ClassVar[str] = "number"

    low: float | None = None
    high: float | None = None
    step: float | None = None
    default: float | None = None

    @classmethod
    def attributes(cls, element: Element) -> dict[str, Any]:
        found = {
            "low": _attribute(element, "min"), "high": _attribute(element, "max"),
            "step": _attribute(element, "step"), "default": _attribute(element, "defaultValue"),
        }
        name = element.get("name")
        if found["low"] is not None and found["high"] is not None and found["low"] > found["high"]:
            raise ConfigError(f"<Number name=\"{name}\"> has min {element.get('min')} above max {element.get('max')}")
        if found["step"] is not None and found["step"] <= 0:
            raise ConfigError(f"<Number name=\"{name}\"> has step {element.get('step')}; it must be above 0")
        return found

    def clean(self, body: Body, text: str) -> Body:
        value = body.get("number")
        if value is None or value == "":
            return {"number": None}
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_usable(value):
            raise self.error(f" is {str(value)[:40]!r}; it must be a number")
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            raise self.error(f" is {value:g}; it must be {self.limits}")
        if self.step is not None:
            steps = (value - (self.low or 0)) / self.step
            # 0.3 is not an exact multiple of 0.1 in binary, so a step is met within rounding.
            if not math.isclose(steps, round(steps), abs_tol=1e-9):
                raise self.error(f" is {value:g}; it must be a multiple of {self.step:g} from {self.low or 0:g}")
        # Whole numbers are stored as such, so that the same answer has the same hash whether it came from JSON as 3 or
        # as 3.0.
        return {"number": int(value) if float(value).is_integer() else value}

    def is_empty(self, body: Body) -> bool:
        return body["number"] is None

    def from_post(self, values: Sequence[str]) -> Any:
        text = (values[0] if values else "").strip()
        try:
            value = float(text) if text else None
        except ValueError:
            # It is judged by `clean`, which says what is wrong with it.
            return text
        return int(value) if value is not None and _is_usable(value) and value.is_integer() else value

    @property
    def limits(self) -> str:
        """The limits in words."""
        parts = [f"at least {self.low:g}" if self.low is not None else "",
                 f"at most {self.high:g}" if self.high is not None else ""]
        return " and ".join(filter(None, parts))

    def distance(self, one: Any, other: Any) -> float:
        """Share of the range where both limits are known, else of the larger of the two numbers."""
        span = self.high - self.low if self.high is not None and self.low is not None else max(abs(one), abs(other))
        return min(1.0, abs(float(one) - float(other)) / span) if span else 0.0


def _is_usable(value: float) -> bool:
    # False for infinities and for what is not a number, too.
    return abs(value) <= LARGEST


def _attribute(element: Element, name: str) -> float | None:
    text = element.get(name, "").strip()
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        # Judged by the check below, which also refuses "inf" and "nan", words that `float` accepts.
        value = math.nan
    if not _is_usable(value):
        raise ConfigError(f"{name}=\"{text[:40]}\" of <Number name=\"{element.get('name')}\"> must be a number")
    return value
