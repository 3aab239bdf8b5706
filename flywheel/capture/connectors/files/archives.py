"""Zips: their members by name, and each member as a stream with a limit on its unpacked size."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

MAX_RATIO = 200
"""A member of a zip may be this many times its packed size; text rarely passes 20."""

MAX_MEMBERS = 10_000
MAX_UNPACKED = 20 * 1024**3


class UnreadableFile(ValueError):
    """The file as a whole cannot be read. The text names the file and the fix."""


def members(path: Path, suffixes: set[str]) -> list[str]:
    """The names of a zip's files with these suffixes, sorted. Raises UnreadableFile for a damaged or dangerous zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _checked(archive, path, suffixes)
    except (zipfile.BadZipFile, OSError) as error:
        raise UnreadableFile(f"{path} is not a complete zip file ({error}); pack it again") from None


def _checked(archive: zipfile.ZipFile, path: Path, suffixes: set[str]) -> list[str]:
    infos = [i for i in archive.infolist() if not i.is_dir()]
    if len(infos) > MAX_MEMBERS or sum(i.file_size for i in infos) > MAX_UNPACKED:
        raise UnreadableFile(
            f"{path} holds too much: at most {MAX_MEMBERS} files and {MAX_UNPACKED >> 30} GiB unpacked"
        )
    for info in infos:
        # Nothing is unpacked to disk here, but an archive with such names was made to harm and is refused as a whole.
        parts = PurePosixPath(info.filename.replace("\\", "/"))
        if parts.is_absolute() or ".." in parts.parts:
            raise UnreadableFile(f"{path} holds {info.filename!r}, a path that leads out of it; pack it again without")
        if info.flag_bits & 0x1:
            raise UnreadableFile(f"{path} is encrypted; unpack it first")
        if info.file_size > MAX_RATIO * max(info.compress_size, 1024):
            times = info.file_size // max(info.compress_size, 1)
            raise UnreadableFile(
                f"{path} holds {info.filename!r}, which unpacks to {times} times its size; at most {MAX_RATIO} is taken"
            )
    known = [i.filename for i in infos if PurePosixPath(i.filename).suffix.lower() in suffixes]
    # macOS adds a hidden file beside each file of a zip, with the same suffix and no conversations.
    wanted = sorted(n for n in known if not PurePosixPath(n).name.startswith((".", "_")) and "__MACOSX" not in n)
    if not wanted:
        raise UnreadableFile(f"{path} holds no .csv, .json or .jsonl file")
    return wanted


class Member(io.RawIOBase):
    """A member of a zip. It closes the archive with itself, and limits what is unpacked, because headers may lie."""

    def __init__(self, path: Path, name: str) -> None:
        self._archive = zipfile.ZipFile(path)
        self._limit = MAX_RATIO * max(self._archive.getinfo(name).compress_size, 1024)
        self._file = self._archive.open(name)
        self._name = name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._file.read(len(buffer))
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            raise UnreadableFile(f"{self._name} is damaged inside its zip file ({error})") from None
        self._limit -= len(data)
        if self._limit < 0:
            raise UnreadableFile(f"{self._name} unpacks to more than its zip file announces")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        self._archive.close()
        super().close()
