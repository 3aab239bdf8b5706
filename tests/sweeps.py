"""Lists of inputs of which the quick suite tries the first few and the sweep every one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def sweep(quick: Iterable[Any], more: Iterable[Any]) -> list[Any]:
    """Values for `pytest.mark.parametrize`: those of `quick` in every run, those of `more` in the sweep only."""
    return [*quick, *(pytest.param(value, marks=pytest.mark.sweep) for value in more)]
