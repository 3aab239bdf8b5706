"""Fetching sources, captures and examples for a caller: what is not there is named with its mend."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from flywheel.capture.models import Capture, Example, Source
from flywheel.core.access import ADMIN, LEAD, STEWARD
from flywheel.core.errors import Forbidden, NotFound

CAPTURERS = (LEAD, STEWARD, ADMIN)
"""Who may deliver captures and look at examples."""

KEEPERS = (STEWARD, ADMIN)
"""Who may create and change sources."""

REPLAYERS = (ADMIN,)
"""Who may have dead letters tried again."""


# What is no name at all may hold characters that no database takes, so it is not looked up.
_NAME = re.compile(r"[-a-zA-Z0-9_]{1,100}")


def sources_named(names: set[str]) -> dict[str, Source]:
    """The sources with these names, by name."""
    possible = {name for name in names if _NAME.fullmatch(name)}
    return {source.name: source for source in Source.objects.filter(name__in=possible)} if possible else {}


def source_get(name: str) -> Source:
    """Raises NotFound naming the source and how to create it."""
    source = Source.objects.select_related("owner").filter(name=name).first() if _NAME.fullmatch(name) else None
    if source is None:
        raise NotFound(
            f"there is no source {name[:100]!r}; an admin or steward creates it under /sources/ or with "
            f"POST /api/v1/sources/", field="source",
        )
    return source


def source_for_capture(name: str) -> Source:
    """The source when it takes captures. Raises NotFound, and Refused when it is switched off."""
    source = source_get(name)
    if not source.active:
        raise Forbidden(f"source {name!r} is not active; switch it on under /sources/{name}/", field="source")
    return source


def example_get(uid: UUID | str) -> Example:
    """Raises NotFound."""
    example = Example.objects.select_related("source", "capture", "duplicate_of").filter(uid=uid).first()
    if example is None:
        raise NotFound(f"there is no example {uid}")
    return example


def capture_get(pk: Any) -> Capture:
    """Raises NotFound."""
    capture = Capture.objects.select_related("source").filter(pk=pk).first()
    if capture is None:
        raise NotFound(f"there is no capture {pk}")
    return capture
