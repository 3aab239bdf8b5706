"""Opening files and reading their records one by one, in memory that does not grow with the file."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import ijson

from flywheel.capture.connectors.files.mapping import MAPPERS, Record, mapper_for, mapper_for_columns
from flywheel.capture.domain.payloads import BadPayload, parse_json

FORMATS = ("auto", *MAPPERS)
MAX_RECORD = 2 * 1024 * 1024
MAX_RATIO = 200
"""A member of a zip may be this many times its packed size; text rarely passes 20."""

MAX_MEMBERS = 10_000
MAX_UNPACKED = 20 * 1024**3
_SUFFIXES = {".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".zip"}


class UnreadableFile(ValueError):
    """The file as a whole cannot be read; the text names it and the mend."""


@dataclass(frozen=True, slots=True)
class FileRow:
    """One record: its line (or its number in a JSON list) and the payload, or why there is none."""

    line: int
    content: dict[str, Any] | BadPayload


@dataclass(frozen=True, slots=True)
class Opened:
    """A file whose format is known. `rows` may be called any number of times, each time from the start."""

    format: str
    rows: Callable[[], Iterator[FileRow]]


def files_below(path: Path) -> list[Path]:
    """The file itself, or all files of known kinds in a folder, in order of their names."""
    if not path.exists():
        raise UnreadableFile(f"there is no file {path}")
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.is_file() and p.suffix.lower() in _SUFFIXES)
    return [path]


def file_sha256(path: Path) -> str:
    """What names the file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_file(path: Path, *, format: str = "auto", encoding: str = "utf-8") -> Opened:
    """Find out what the file holds. Raises UnreadableFile for what holds no conversations."""
    if format not in FORMATS:
        raise UnreadableFile(f"format {format!r} is unknown; use one of {', '.join(FORMATS)}")
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _open_zip(path, format=format, encoding=encoding)
    return _open_stream(lambda: path.open("rb"), str(path), format=format, encoding=encoding)


def detect_format(path: Path) -> str:
    """The format of a file, or of the first file of a folder that holds conversations. Raises UnreadableFile."""
    for file in files_below(path):
        try:
            return open_file(file).format.removeprefix("zip:").split(",")[0]
        except UnreadableFile:
            if not path.is_dir():
                raise
    raise UnreadableFile(f"{path} holds no file with conversations; expected .csv, .json, .jsonl or .zip")


# --- zip ------------------------------------------------------------------------------------------------------
def _open_zip(path: Path, *, format: str, encoding: str) -> Opened:
    try:
        with zipfile.ZipFile(path) as archive:
            names = _members(archive, path)
    except (zipfile.BadZipFile, OSError) as error:
        raise UnreadableFile(f"{path} is not a whole zip file ({error}); pack it again") from None

    def member(name: str) -> Opened:
        return _open_stream(lambda: _Member(path, name), f"{path}:{name}", format=format, encoding=encoding)

    opened = [member(name) for name in names]

    def rows() -> Iterator[FileRow]:
        for one in opened:
            yield from one.rows()

    return Opened(format="zip:" + ",".join(sorted({one.format for one in opened})), rows=rows)


def _members(archive: zipfile.ZipFile, path: Path) -> list[str]:
    infos = [i for i in archive.infolist() if not i.is_dir()]
    if len(infos) > MAX_MEMBERS or sum(i.file_size for i in infos) > MAX_UNPACKED:
        raise UnreadableFile(
            f"{path} holds too much: at most {MAX_MEMBERS} files and {MAX_UNPACKED >> 30} GiB unpacked"
        )
    for info in infos:
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
    known = [i.filename for i in infos if PurePosixPath(i.filename).suffix.lower() in _SUFFIXES - {".zip"}]
    wanted = sorted(n for n in known if not PurePosixPath(n).name.startswith((".", "_")) and "__MACOSX" not in n)
    if not wanted:
        raise UnreadableFile(f"{path} holds no .csv, .json or .jsonl file")
    return wanted


class _Member(io.RawIOBase):
    """A member of a zip that closes the archive with itself, and trusts no announced size."""

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


# --- one stream -----------------------------------------------------------------------------------------------
Opener = Callable[[], Any]


def _open_stream(opener: Opener, name: str, *, format: str, encoding: str) -> Opened:
    with closing(opener()) as file:
        head = _buffered(file).read(MAX_RECORD)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableFile(f"{name} is UTF-16; save it as UTF-8, e.g. iconv -f UTF-16 -t UTF-8")
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise UnreadableFile(f"{name} is empty")
    if start[:1] == b"[":
        return _open_list(opener, name, format)
    if start[:1] == b"{":
        return _open_lines(opener, name, format, start, encoding)
    return _open_table(opener, name, format, head, encoding)


def _buffered(file: Any) -> BinaryIO:
    return io.BufferedReader(file) if isinstance(file, io.RawIOBase) else file


def _mapped(line: int, record: Any, mapper: Callable[[Record], dict[str, Any]]) -> FileRow:
    try:
        if not isinstance(record, dict):
            raise BadPayload("expected a JSON object")
        return FileRow(line, mapper(record))
    except BadPayload as bad:
        return FileRow(line, bad)


def _chosen(format: str, found: str | None, name: str, seen: str) -> str:
    if format != "auto":
        return format
    if found is None:
        raise UnreadableFile(
            f"{name} holds no conversations that are known ({seen}); expected tickets, calls, Taskmaster, SGD or a "
            f"table with a column message or text"
        )
    return found


def _open_list(opener: Opener, name: str, format: str) -> Opened:
    first = next(_items(opener), None)
    record = first[1] if first is not None else {}
    found = mapper_for(record) if isinstance(record, dict) else None
    keys = ", ".join(sorted(map(str, record))[:6]) if isinstance(record, dict) else ""
    seen = f"its first record has {keys}" if keys else "a plain list"
    kind = _chosen(format, found, name, seen)

    def rows() -> Iterator[FileRow]:
        for number, record in _items(opener):
            if isinstance(record, BadPayload):
                yield FileRow(number, record)
            else:
                yield _mapped(number, record, MAPPERS[kind])

    return Opened(kind, rows)


def _items(opener: Opener) -> Iterator[tuple[int, Any]]:
    """The records of a JSON list, numbered from 1; where the JSON breaks off, a BadPayload is the last."""
    number = 0
    with closing(opener()) as file:
        try:
            for number, record in enumerate(ijson.items(_SkipBom(file), "item", use_float=True), start=1):
                yield number, record
        except (ijson.JSONError, ValueError, RecursionError) as error:
            if isinstance(error, UnreadableFile):
                raise
            yield number + 1, BadPayload(f"the JSON breaks off after record {number}: {error}")


class _SkipBom:
    """A file for ijson without the byte order mark."""

    def __init__(self, file: Any) -> None:
        self._file = _buffered(file)
        self._first = True

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        if self._first and data:
            self._first = False
            return data.removeprefix(b"\xef\xbb\xbf") or self._file.read(size)
        return data


def _open_lines(opener: Opener, name: str, format: str, start: bytes, encoding: str) -> Opened:
    line = start.split(b"\n", 1)[0]
    try:
        record = parse_json(line.decode(encoding))
    except (BadPayload, UnicodeDecodeError):
        return _open_document(opener, name, format)
    kind = _chosen(format, mapper_for(record), name, f"its first record has {', '.join(sorted(record)[:6])}")

    def rows() -> Iterator[FileRow]:
        with closing(opener()) as file:
            for number, raw in _lines(_buffered(file)):
                if isinstance(raw, bytes) and not raw.strip():
                    continue
                try:
                    yield _mapped(number, _parsed(raw, encoding), MAPPERS[kind])
                except BadPayload as bad:
                    yield FileRow(number, bad)

    return Opened(kind, rows)


def _open_document(opener: Opener, name: str, format: str) -> Opened:
    """One JSON object over several lines; or JSON lines whose first is broken, which is reported like any other."""
    with closing(opener()) as file:
        head = _buffered(file).read(MAX_RECORD + 1)
    try:
        record = parse_json(head)
    except BadPayload:
        if format == "auto" and b"\n{" not in head.replace(b"\r\n", b"\n"):
            raise UnreadableFile(f"{name} starts like JSON and is none; check how it was written") from None
        return _open_lines(opener, name, format if format != "auto" else "flywheel", b"{\"messages\":[]}", "utf-8")
    kind = _chosen(format, mapper_for(record), name, f"it has {', '.join(sorted(record)[:6])}")
    return Opened(kind, lambda: iter([_mapped(1, record, MAPPERS[kind])]))


def _parsed(raw: bytes | BadPayload, encoding: str) -> dict[str, Any]:
    if isinstance(raw, BadPayload):
        raise raw
    if encoding == "utf-8":
        return parse_json(raw)
    return parse_json(_decoded(raw, encoding))


def _decoded(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadPayload(
            f"byte 0x{raw[error.start]:02x} is not {encoding}; the file looks like Latin-1: convert it to UTF-8 or "
            f"pass --encoding latin-1"
        ) from None


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes | BadPayload]]:
    """Numbered lines; one that is too long is read over in pieces and reported."""
    for number in itertools.count(1):
        line = file.readline(MAX_RECORD + 1)
        if not line:
            return
        if len(line) <= MAX_RECORD:
            yield number, line
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(MAX_RECORD)
        yield number, BadPayload(f"the line is longer than {MAX_RECORD} bytes; split the conversation")


# --- tables ---------------------------------------------------------------------------------------------------
def _open_table(opener: Opener, name: str, format: str, head: bytes, encoding: str) -> Opened:
    line = head.removeprefix(b"\xef\xbb\xbf").splitlines()[0].decode(encoding, "replace")
    delimiter = max(",;\t", key=line.count)
    columns = {cell.strip().lower() for cell in next(csv.reader([line], delimiter=delimiter))}
    kind = _chosen(format, mapper_for_columns(columns), name, f"its first line is {line[:80]!r}")

    def rows() -> Iterator[FileRow]:
        with closing(opener()) as file:
            yield from _table_rows(_buffered(file), delimiter, encoding, MAPPERS[kind])

    return Opened(kind, rows)


def _table_rows(
    file: BinaryIO, delimiter: str, encoding: str, mapper: Callable[[Record], dict[str, Any]]
) -> Iterator[FileRow]:
    faults: dict[int, BadPayload] = {}
    csv.field_size_limit(MAX_RECORD)
    reader = csv.reader(_text_lines(file, encoding, faults), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        before = reader.line_num
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield FileRow(reader.line_num, BadPayload(f"this is not CSV: {error}"))
            continue
        if cells is None:
            return
        if header is None:
            header = [cell.strip().lower() for cell in cells]
            continue
        if not any(cell.strip() for cell in cells):
            continue
        line = before + 1
        fault = next((faults.pop(n) for n in range(line, reader.line_num + 1) if n in faults), None)
        if fault is None and len(cells) != len(header):
            fault = BadPayload(
                f"has {len(cells)} cells, the header has {len(header)}; quote cells that hold {delimiter!r}"
            )
        yield FileRow(line, fault) if fault else _mapped(line, dict(zip(header, cells, strict=True)), mapper)


def _text_lines(file: BinaryIO, encoding: str, faults: dict[int, BadPayload]) -> Iterator[str]:
    for number, raw in _lines(file):
        if isinstance(raw, BadPayload):
            faults[number] = raw
            yield "\n"
            continue
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        try:
            yield _decoded(raw, encoding)
        except BadPayload as bad:
            faults[number] = bad
            yield raw.decode(encoding, "replace")


