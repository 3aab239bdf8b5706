"""JSON values from outside, where any field may hold any type."""

from __future__ import annotations

import math
from typing import Any

from flywheel.core.text import plain_lines


def finite(value: Any) -> float | None:
    """The value as a finite float; None for what is not a number, NaN, infinity and numbers beyond a float."""
    try:
        number = float(value)
    # JSON has integers of any length, and float() raises OverflowError for those beyond its range.
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def plain_json(value: Any) -> Any:
    """`plain_lines` on every key and text inside a JSON value."""
    if isinstance(value, str):
        return plain_lines(value)
    if isinstance(value, list):
        return [plain_json(item) for item in value]
    if isinstance(value, dict):
        # Keys too: PostgreSQL refuses a JSON document with NUL anywhere in it.
        return {plain_lines(str(key)): plain_json(item) for key, item in value.items()}
    return value
