"""The generic connector: any system that posts tickets and calls in Flywheel's format over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from django.conf import settings
from django.http import HttpRequest

from flywheel.capture.connectors.base import Options
from flywheel.capture.domain.payloads import Row
from flywheel.capture.request_stream import body_blocks, rows_of


class Webhook:
    """One JSON object per line (NDJSON), read as it arrives, gzip allowed. One object alone is one line."""

    title = "Generic API"
    options: Mapping[str, str] = {}

    def check(self, options: Options) -> None:
        """There is nothing to set."""

    def receive(self, request: HttpRequest) -> Iterator[Row]:
        """The lines of the body. Raises UnsupportedEncoding, TooLarge and ValidationFailed while they are read."""
        yield from rows_of(body_blocks(request), limit=settings.FLYWHEEL["BULK_MAX_LINE_BYTES"])
