"""Files of an embedded installation into the store in use, such as a bucket. The rows that name them are moving's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from django.core.files import File
from django.core.files.storage import default_storage


@dataclass(frozen=True, slots=True)
class FileCopied:
    """A file that the store holds now. `copied` is False when it did before."""

    path: str
    size: int
    copied: bool


def files_copy(folder: Path) -> Iterator[FileCopied]:
    """Copy every file below `folder` into the store under its path in the folder; one that is there whole stays.

    Stopped at any point, the same call goes on. Raises NotADirectoryError.
    """
    if not folder.is_dir():
        raise NotADirectoryError(
            f"folder {folder} does not exist; give the one that holds the files, such as var/files"
        )
    for file in sorted(p for p in folder.rglob("*") if p.is_file() and not p.is_symlink()):
        name, size = file.relative_to(folder).as_posix(), file.stat().st_size
        held = default_storage.exists(name)
        fresh = not held or default_storage.size(name) != size
        if fresh:
            _file_store(name, file, replace=held)
        yield FileCopied(name, size, fresh)


def _file_store(name: str, file: Path, *, replace: bool) -> None:
    if replace:
        # The store would give the second file of this name another one, which no row knows.
        default_storage.delete(name)
    with file.open("rb") as content:
        default_storage.save(name, File(content))
