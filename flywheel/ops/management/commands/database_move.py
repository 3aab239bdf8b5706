"""`manage.py database_move --source sqlite:////path/db.sqlite3`: an embedded database into an empty PostgreSQL one."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from flywheel.ops.sqlite_to_postgres import MoveFailed, TableMoved, database_move, rows_to_move


class Command(BaseCommand):
    help = "Carry a SQLite database into the empty PostgreSQL database at DATABASE_URL; run again if it was stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--source", required=True, help="address of the SQLite database, sqlite:////path/db.sqlite3")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            total = rows_to_move(options["source"])
            with tqdm(total=total, unit=" rows", file=sys.stderr, disable=None) as bar:
                report = database_move(source_url=options["source"], told=self._tell, progress=bar.update)
        except MoveFailed as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{total} rows moved; ledger ok: {report.entries} entries, the same head")

    def _tell(self, done: TableMoved) -> None:
        state = "" if done.moved or not done.rows else " (there already)"
        self.stdout.write(f"{done.table}: {done.rows} rows{state}")
