"""Who may do what in capture, and fetching sources, captures and examples by name."""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from flywheel.capture.models import Capture, Example, Source
from flywheel.core.access import STEWARD
from flywheel.core.errors import Forbidden, NotFound
from flywheel.core.permissions import ADMINS, DECIDERS, STEWARDS, Permission, register, role

register({
    "capture.deliver": Permission("delivering captures", DECIDERS),
    "capture.view": Permission("looking at deliveries", DECIDERS),
    "capture.replay": Permission("retrying a dead letter", ADMINS),
    "example.view": Permission("looking at examples", DECIDERS),
    "example.original": Permission("reading the original text of an example", role(STEWARD)),
    "source.view": Permission("looking at sources", DECIDERS),
    "source.create": Permission("creating a source", STEWARDS),
    "source.change": Permission("changing a source", STEWARDS),
})

# Text that cannot be a name is not looked up, because PostgreSQL refuses some characters in a query.
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
            f"source {name[:100]!r} does not exist; an admin or steward creates it under /sources/ or with "
            f"POST /api/v1/sources/", field="source",
        )
    return source


def source_for_capture(name: str) -> Source:
    """The source, if it takes captures. Raises NotFound, and Forbidden if it is switched off."""
    source = source_get(name)
    if not source.active:
        raise Forbidden(f"source {name!r} is not active; switch it on under /sources/{name}/", field="source")
    return source


def example_get(uid: UUID | str) -> Example:
    """Raises NotFound."""
    example = Example.objects.select_related("source", "capture", "duplicate_of").filter(uid=uid).first()
    if example is None:
        raise NotFound(f"example {uid} does not exist")
    return example


def capture_get(pk: Any) -> Capture:
    """Raises NotFound."""
    capture = Capture.objects.select_related("source").filter(pk=pk).first()
    if capture is None:
        raise NotFound(f"capture {pk} does not exist")
    return capture
