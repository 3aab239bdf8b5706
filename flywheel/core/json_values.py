"""Numbers from outside, where what stands in a number's place may be anything that JSON holds."""

from __future__ import annotations

import math
from typing import Any


def finite(value: Any) -> float | None:
    """The number that a value is, None when it is none or beyond what a float holds."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
