"""What stands above provenance, as far as its pages have to tell it without knowing it.

Apps above register themselves when they start: how many of their things hold a set of records, and where a record's
example is shown. Nothing here changes anything; withdrawal itself is walked from the top.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

Counter = Callable[[list[int]], dict[str, int]]
Linker = Callable[[UUID], str]

_counters: dict[str, Counter] = {}
_linkers: list[Linker] = []

MAX_RECORDS = 5_000
"""Records that a preview looks at; a person with more is shown "at least"."""


def reach_register(app: str, counter: Counter) -> None:
    """Have previews of a withdrawal count an app's things. `counter` gets record keys and returns counts by name."""
    _counters[app] = counter


def example_link_register(linker: Linker) -> None:
    """Have a record's page link to where its example is shown. `linker` returns "" when there is none."""
    _linkers[:] = [linker]


def reach_of(record_ids: list[int]) -> dict[str, int]:
    """How many things of each kind hold these records."""
    found: dict[str, int] = {}
    for counter in _counters.values():
        found |= counter(record_ids[:MAX_RECORDS])
    return found


def example_link(record_uid: UUID) -> str:
    """Where the example made of a record is shown; "" when nobody knows."""
    return _linkers[0](record_uid) if _linkers else ""
