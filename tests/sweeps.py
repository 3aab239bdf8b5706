"""Long lists of inputs: some tried by the quick suite, every one by the sweep; or all of them in one test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


def sweep(quick: Iterable[Any], more: Iterable[Any]) -> list[Any]:
    """Values for `pytest.mark.parametrize`: those of `quick` in every run, those of `more` in the sweep only."""
    return [*quick, *(pytest.param(value, marks=pytest.mark.sweep) for value in more)]


def check_each(values: Iterable[T], check: Callable[[T], None], *, name: Callable[[T], str] = repr) -> None:
    """Run `check` on every value in one test and fail once, with each value that failed and why.

    A parametrised test costs several milliseconds per value for fixtures and reports; these checks cost microseconds.
    """
    failures = []
    count = 0
    for value in values:
        count += 1
        try:
            check(value)
        except (AssertionError, ValueError, KeyError, TypeError) as error:
            failures.append(f"{name(value)}: {type(error).__name__}: {error}"[:600])
    assert count, "there was nothing to check"
    assert not failures, f"{len(failures)} of {count} failed:\n" + "\n".join(failures)
