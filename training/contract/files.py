"""Files as manifests describe them: the one SHA-256 of a file for snapshots, models and run folders."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypedDict


class FileEntry(TypedDict):
    """A file in a manifest: SHA-256 in hex and size in bytes."""

    sha256: str
    bytes: int


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits, in constant memory. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_entry(path: Path) -> FileEntry:
    """Digest and size of a file. Raises OSError."""
    return {"sha256": file_sha256(path), "bytes": path.stat().st_size}


def is_folder(path: str | Path) -> bool:
    """Whether `path` is a folder. False also for names that the file system rejects (too long, a null byte)."""
    try:
        # Path("") is the working folder, and an empty name must not mean that.
        return bool(str(path)) and Path(path).is_dir()
    except (OSError, ValueError):
        return False
