"""What stands above provenance, as far as its pages have to tell it without knowing it.

Apps above register themselves when they start: how many of their things hold a set of records, where these are listed
for one person, where a record's example is shown, and which records got as far as a stage of theirs. Nothing here
changes anything; withdrawal itself is walked from the top.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from provenance.models import ProvenanceRecord

Counter = Callable[[list[int]], dict[str, int]]
Lister = Callable[[UUID], str]
Linker = Callable[[UUID], str]

Stage = Callable[[str, str], "QuerySet[ProvenanceRecord]"]

Rows = Callable[[UUID], "QuerySet[Any]"]
Shown = Callable[[Any], tuple[str, str, str]]

_counters: dict[str, tuple[Counter, Mapping[str, Lister]]] = {}
_linkers: list[Linker] = []
_rows: dict[str, tuple[Rows, Shown]] = {}
_stages: dict[str, tuple[str, Stage]] = {}

MAX_RECORDS = 5_000
"""Records that a preview looks at; a person with more is shown "at least"."""


@dataclass(frozen=True, slots=True)
class Reached:
    """How many things of one kind, and the address of the list of them, "" when there is none."""

    name: str
    count: int
    url: str = ""


def reach_register(app: str, counter: Counter, lists: Mapping[str, Lister] | None = None) -> None:
    """Have previews of a withdrawal count an app's things.

    `counter` gets at most `MAX_RECORDS` record keys and returns counts by name; `lists` gives for a name the address
    of the list of one person's (by the subject's uid).
    """
    _counters[app] = (counter, lists or {})


def rows_register(name: str, rows: Rows, shown: Shown) -> None:
    """Have one person's things of a kind listed at `provenance:subject_reach`, where the app above has no such list.

    `rows` gets the subject's uid; `shown` gives of each row its title, what else to say, and its address.
    """
    _rows[name] = (rows, shown)


def rows_of(name: str, subject: UUID) -> tuple[QuerySet[Any], Shown] | None:
    """The rows of a kind of one person and how each is shown; None for a kind that nobody registered."""
    if name not in _rows:
        return None
    rows, shown = _rows[name]
    return rows(subject), shown


def example_link_register(linker: Linker) -> None:
    """Have a record's page link to where its example is shown. `linker` returns "" when there is none."""
    _linkers[:] = [linker]


def stage_register(name: str, title: str, records: Stage) -> None:
    """Have the clearance page open a stage of its funnel. `records` gives those that got there, for purpose and region.

    The same app counts them, as gauge `stage.<name>` of the scope `gate:<purpose>:<region>`.
    """
    _stages[name] = (title, records)


def stage_titles() -> dict[str, str]:
    """The stages that apps above have registered, with their names for people."""
    return {name: title for name, (title, _) in _stages.items()}


def stage_records(name: str, purpose: str, region: str) -> QuerySet[ProvenanceRecord]:
    """The records that got as far as this stage."""
    return _stages[name][1](purpose, region)


def reach_of(record_ids: list[int], *, subject: UUID) -> list[Reached]:
    """How many things of each kind hold these records of a person, the first `MAX_RECORDS` of them."""
    return [
        Reached(name, count, lists[name](subject) if name in lists else "")
        for counter, lists in _counters.values()
        for name, count in counter(record_ids[:MAX_RECORDS]).items()
    ]


def example_link(record_uid: UUID) -> str:
    """Where the example made of a record is shown; "" when nobody knows."""
    return _linkers[0](record_uid) if _linkers else ""
