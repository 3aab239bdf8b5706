"""Regions: ISO 3166 codes, the EU and EEA as sets of them, and `*` for everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterable

EU = frozenset({
    "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT", "LV", "LT", "LU", "MT",
    "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE",
})
# "EU" is a member itself, so that data that is restricted to the EEA may be used in a snapshot for the EU.
EEA = EU | {"IS", "LI", "NO", "EU"}
EVERYWHERE = "*"

_MEMBERS = {"EU": EU, "EEA": EEA}


def _code(region: str) -> str:
    return region.strip().upper()


_REGION = re.compile(r"\*|EEA|[A-Za-z]{2}(?:-[A-Za-z0-9]{1,3})?")


def is_region(text: str) -> bool:
    """Whether the text is a valid region: `EU`, `EEA`, a country such as `DE`, a part such as `US-CA`, or `*`."""
    return _REGION.fullmatch(text) is not None


def region_within(region: str, allowed: Iterable[str]) -> bool:
    """Whether `region` lies within one of the `allowed` ones. An empty region or an empty list allows nothing.

    A subdivision such as `US-CA` lies within its country.
    """
    wanted = _code(region)
    if not wanted:
        return False
    return any(_contains(_code(other), wanted) for other in allowed)


def _contains(outer: str, inner: str) -> bool:
    if outer in (EVERYWHERE, inner):
        return True
    # ISO 3166-2 codes begin with the country's code, so a subdivision needs no table.
    country = inner.split("-", 1)[0]
    return outer == country or inner in _MEMBERS.get(outer, ()) or country in _MEMBERS.get(outer, ())


def regions_overlap(region: str, others: Iterable[str]) -> bool:
    """Whether `region` has anything in common with one of `others`: what is forbidden in DE is not done in the EU."""
    wanted = _code(region)
    return any(_contains(code, wanted) or _contains(wanted, code) for code in map(_code, others) if code)
