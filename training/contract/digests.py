"""SHA-256 of files: the one digest that snapshots, models and run folders are described by."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypedDict


class FileEntry(TypedDict):
    """A file as a manifest lists it: SHA-256 in hex and size in bytes."""

    sha256: str
    bytes: int


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits, in constant memory. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_entry(path: Path) -> FileEntry:
    """The file's digest and size as a manifest lists them. Raises OSError."""
    return {"sha256": file_sha256(path), "bytes": path.stat().st_size}
