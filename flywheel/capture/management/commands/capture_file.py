"""`manage.py capture_file PATH --source NAME`: a file, a zip or a folder of files into captures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from flywheel.capture import services
from flywheel.capture.access import source_for_capture
from flywheel.capture.connectors import files
from flywheel.capture.models import FileImport, Source
from flywheel.core.errors import UserError
from flywheel.core.models import User

BAD_SHOWN = 20


class Command(BaseCommand):
    help = "Capture a file (CSV, JSONL, JSON, zip) or a folder of files. Resumable; a second run adds nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("path", type=Path)
        parser.add_argument("--source", default="", help="name of the source; optional when every row names its own")
        parser.add_argument("--format", default="auto", choices=files.FORMATS)
        parser.add_argument("--encoding", default="utf-8")
        parser.add_argument("--limit", type=int, default=None, help="read at most this many rows")
        parser.add_argument("--by", default="", help="user name that the captures are recorded under")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["limit"] is not None and options["limit"] < 0:
            raise CommandError(f"--limit {options['limit']}: give a number of rows, 0 or more")
        try:
            source = source_for_capture(options["source"]) if options["source"] else None
            outcomes = services.file_import(
                path=options["path"], source=source, by=self._user(options["by"], source), format=options["format"],
                encoding=options["encoding"], limit=options["limit"], read=self._report,
                skipped=lambda reason: self.stderr.write(f"skipped: {reason}"),
            )
            for _ in tqdm(outcomes, unit=" rows", disable=None):
                pass
        except UserError as error:
            raise CommandError(error.message) from None

    def _user(self, name: str, source: Source | None) -> User | None:
        if not name:
            return source.owner if source else None
        user = User.objects.filter(username=name).first()
        if user is None:
            raise CommandError(f"user {name!r} does not exist; leave --by out to use the source's owner")
        return user

    def _report(self, done: FileImport, before: bool) -> None:
        if before:
            self.stdout.write(
                f"{done.path} ({done.format}): all {done.rows_read} rows were read before, until "
                f"{done.finished_at:%Y-%m-%d %H:%M}; nothing was added"
            )
            return
        state = "finished" if done.finished_at else f"stopped after row {done.position}; run again for the rest"
        self.stdout.write(
            f"{done.path} ({done.format}): {done.rows_read} rows read, {done.rows_captured} captured, "
            f"{done.rows_repeated} repeated, {done.rows_bad} bad; {state}"
        )
        for bad in done.bad_rows[:BAD_SHOWN]:
            self.stderr.write(f"  line {bad['line']}: {bad['reason']}")
        if done.rows_bad > BAD_SHOWN:
            self.stderr.write(f"  and {done.rows_bad - BAD_SHOWN} more; see the source's page")
