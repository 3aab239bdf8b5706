"""What a connector is: the protocols that capture calls, and the value that one pull returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol, runtime_checkable

from django.http import HttpRequest

from flywheel.capture.domain.payloads import Row

Options = Mapping[str, str]
"""A source's settings for its connector, by name. Secrets do not belong here: pages and API show them. A connector
reads secrets from the environment."""

Cursor = dict[str, Any]
"""How far a source was pulled, as JSON that only its connector understands; {} before the first pull."""


class ConnectorError(Exception):
    """The other system cannot be read now: it is away, or it refuses. The pull is tried again on schedule."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """One step of a pull. `rows` are captured first, then `cursor` is stored, so a step that was killed is repeated.

    Repeated rows do no harm, because a delivery is captured once. `more` asks for the next step at once.
    """

    rows: Iterator[Row] = field(default_factory=lambda: iter(()))
    cursor: Cursor = field(default_factory=dict)
    more: bool = False


class Connector(Protocol):
    """What every connector has. `options` names what a source sets for it, each with a sentence that explains it."""

    title: str
    options: Mapping[str, str]

    def check(self, options: Options) -> None:
        """Raises ValueError with the name and value of an option that cannot be used, and the fix."""


@runtime_checkable
class PullConnector(Connector, Protocol):
    """A connector that fetches on a schedule."""

    every: timedelta

    def pulls(self, options: Options) -> bool:
        """Whether a source with these options is pulled."""

    def pull(self, options: Options, cursor: Cursor) -> Pulled:
        """The next step after `cursor`: a page, a file, or another piece that the other system gives at once.

        Raises ConnectorError, also while `rows` are read.
        """


@runtime_checkable
class ReceiveConnector(Connector, Protocol):
    """A connector that takes what the other system posts to `/api/v1/sources/<name>/deliveries/`."""

    def receive(self, request: HttpRequest) -> Iterator[Row]:
        """The deliveries in a request. Raises UserError for a body that cannot be read."""
