"""manage.py consent_import FILE: consent records with events from JSON lines; repeating it changes nothing."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from flywheel.core.actors import SystemActor
from flywheel.core.errors import UserError
from provenance.services import consent_import


class Command(BaseCommand):
    help = "Import consent records with their events from a file of JSON lines ('-' reads standard input)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One file."""
        parser.add_argument("file")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import; rows before a bad one are kept in steps of 500."""
        try:
            report = consent_import(rows=_rows(options["file"]), by=SystemActor("consent_import"))
        except (UserError, ValueError) as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"{options['file']} cannot be read: {error.strerror}") from error
        self.stdout.write(f"{report.rows} rows, {report.records} new records, {report.events} new events")


def _rows(name: str) -> Iterator[dict[str, Any]]:
    with nullcontext(sys.stdin) if name == "-" else Path(name).open(encoding="utf-8") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise ValueError(f"line {number} is not JSON ({error}); fix it and import again") from error
