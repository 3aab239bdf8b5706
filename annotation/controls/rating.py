"""A whole number of stars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from xml.etree.ElementTree import Element

from annotation.controls.base import Body, Control, whole_number


@dataclass(frozen=True, kw_only=True)
class Rating(Control):
    """From 1 to `max_rating`."""

    tag: ClassVar[str] = "Rating"
    type: ClassVar[str] = "rating"

    max_rating: int = 5

    @classmethod
    def attributes(cls, element: Element) -> dict[str, Any]:
        return {"max_rating": whole_number(element, "maxRating", default=5, low=2, high=10)}

    @property
    def steps(self) -> range:
        """What a rating may be."""
        return range(1, self.max_rating + 1)

    def clean(self, body: Body, text: str) -> Body:
        rating = body.get("rating")
        if isinstance(rating, float) and rating.is_integer():
            rating = int(rating)
        if rating is None or rating == 0:
            return {"rating": None}
        if isinstance(rating, bool) or not isinstance(rating, int) or rating not in self.steps:
            raise self.error(f" is {rating!r}; it must be a whole number from 1 to {self.max_rating}")
        return {"rating": rating}

    def is_empty(self, body: Body) -> bool:
        return body["rating"] is None

    def from_post(self, values: Sequence[str]) -> Any:
        text = values[0] if values else ""
        return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else None

    def summary(self, value: Any) -> str:
        return f"{value} of {self.max_rating}"

    def distance(self, one: Any, other: Any) -> float:
        """Share of the scale between two ratings: ratings are ordered, and the scale is known."""
        return abs(float(one) - float(other)) / (self.max_rating - 1)
