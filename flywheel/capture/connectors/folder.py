"""Files: read by hand with `manage.py capture_file`, or pulled from a folder of the installation's file store.

The file store is a directory or an S3 bucket. Other systems export into `incoming/<folder>/` below it.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path, PurePosixPath

from django.core.files.storage import default_storage

from flywheel.capture.connectors.base import ConnectorError, Cursor, Options, Pulled
from flywheel.capture.connectors.files import SUFFIXES, UnreadableFile, open_file
from flywheel.capture.domain.payloads import BadPayload, Row

INCOMING = "incoming"
"""The only prefix that is read, because the store also holds snapshots, prompts and weights."""

MOST_FILES = 10_000
"""Files that one folder may hold: the cursor remembers each of them."""

_FOLDER = re.compile(r"[a-zA-Z0-9_-][a-zA-Z0-9._-]*(?:/[a-zA-Z0-9_-][a-zA-Z0-9._-]*)*")


class FileFolder:
    """Captures each new or changed file of one folder, the first by name first."""

    title = "Files"
    options: Mapping[str, str] = {
        "folder": f"Folder below {INCOMING}/ of the file store that is read every five minutes; without it files are "
                  "read by hand only.",
    }
    every = timedelta(minutes=5)

    def check(self, options: Options) -> None:
        """Raises ValueError for a folder that is not a plain relative path."""
        folder = options.get("folder", "")
        if folder and not _FOLDER.fullmatch(folder):
            raise ValueError(
                f"folder {folder[:80]!r} is not a folder below {INCOMING}/; write names of letters, digits, '.', '-' "
                "and '_', separated by '/'"
            )

    def pulls(self, options: Options) -> bool:
        """Whether a folder is set."""
        return bool(options.get("folder"))

    def pull(self, options: Options, cursor: Cursor) -> Pulled:
        """The first file that is new or changed. The cursor holds size and time of every file that was read."""
        folder = f"{INCOMING}/{options['folder']}"
        try:
            found = {
                name: f"{default_storage.size(path)} {default_storage.get_modified_time(path).isoformat()}"
                for name in sorted(default_storage.listdir(folder)[1])
                if PurePosixPath(name).suffix.lower() in SUFFIXES and not name.startswith(".")
                for path in (f"{folder}/{name}",)
            }
        except FileNotFoundError:
            # A directory that nothing was exported to yet does not exist; a bucket has no directories.
            found = {}
        except Exception as error:
            raise ConnectorError(f"folder {folder} cannot be listed: {error}") from error
        if len(found) > MOST_FILES:
            raise ConnectorError(f"folder {folder} holds {len(found)} files; move old ones, {MOST_FILES} is the limit")
        # Files that are gone are forgotten, so the cursor stays as small as the folder.
        read = {name: mark for name, mark in cursor.get("read", {}).items() if name in found}
        # Size and time and not the content, because hashing every file of a bucket would download it at every pull.
        waiting = [name for name, mark in found.items() if read.get(name) != mark]
        if not waiting:
            return Pulled(cursor={"read": read})
        first = waiting[0]
        return Pulled(
            rows=_file_rows(f"{folder}/{first}"), cursor={"read": read | {first: found[first]}}, more=len(waiting) > 1
        )


def _file_rows(path: str) -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="flywheel-pull-") as work:
        # A copy, because a zip's table of contents is at its end and a bucket's file cannot be read backwards.
        copy = Path(work) / PurePosixPath(path).name
        try:
            with default_storage.open(path) as source, copy.open("wb") as target:
                shutil.copyfileobj(source, target)
        except Exception as error:
            raise ConnectorError(f"file {path} cannot be read: {error}") from error
        try:
            for row in open_file(copy).rows():
                yield Row(row.line, row.content)
        except UnreadableFile as error:
            # Counted as one bad row: the file is not read again until it changes, and the other files are read.
            yield Row(1, BadPayload(str(error).replace(str(copy), path)))
