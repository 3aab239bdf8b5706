"""`manage.py files_copy --source var/files`: an embedded installation's files into the store that the settings name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser
from tqdm import tqdm

from flywheel.ops.storage_copy import files_copy


class Command(BaseCommand):
    help = "Copy files into the store in use, under the same paths; run again if it was stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--source", type=Path, required=True, help="the folder of the files, e.g. var/files")

    def handle(self, *args: Any, **options: Any) -> None:
        in_use = settings.STORAGES["default"]["OPTIONS"].get("location")
        if in_use and Path(in_use).resolve() == options["source"].resolve():
            raise CommandError("that folder is the store in use; set FLYWHEEL_S3_BUCKET to the bucket to be filled")
        copied = there = size = 0
        try:
            for file in tqdm(files_copy(options["source"]), unit=" files", file=sys.stderr, disable=None):
                copied, there, size = copied + file.copied, there + (not file.copied), size + file.size
        except NotADirectoryError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{copied} files copied, {there} were there already; {size} bytes in all")
