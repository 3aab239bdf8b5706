"""Opening files and reading their records one by one, in memory that does not grow with the file."""

from __future__ import annotations

import csv
import io
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from flywheel.capture.connectors.files.archives import Member, UnreadableFile, members
from flywheel.capture.connectors.files.json_array import list_records
from flywheel.capture.connectors.files.record_mappers import MAPPERS, Mapper, format_of_columns, format_of_record
from flywheel.capture.domain.payloads import BadPayload, parse_json

FORMATS = ("auto", *MAPPERS)
MAX_RECORD = 2 * 1024 * 1024
BLOCK = 256 * 1024
LOOKED_AT = 20
"""Records of a list that are read to detect its format, in case the first are broken."""

SUFFIXES = {".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".zip"}


@dataclass(frozen=True, slots=True)
class FileRow:
    """One record: its first line (in a list on one line its number) and the payload, or why it cannot be read."""

    line: int
    content: dict[str, Any] | BadPayload


@dataclass(frozen=True, slots=True)
class Opened:
    """A file whose format is known. `rows` may be called any number of times, each time from the start."""

    format: str
    rows: Callable[[], Iterator[FileRow]]
    skipped: tuple[str, ...] = ()
    """Why files in a zip were skipped."""


def files_below(path: Path) -> list[Path]:
    """The file itself, or all files of known kinds in a folder, in order of their names."""
    if not path.exists():
        raise UnreadableFile(f"file {path} does not exist")
    if path.is_dir():
        return sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and _inside(p, path))
    if not path.is_file():
        raise UnreadableFile(f"{path} is neither a file nor a folder")
    return [path]


def _inside(file: Path, folder: Path) -> bool:
    """Whether it is a file, and not a link to one outside of the folder."""
    return file.is_file() and (not file.is_symlink() or file.resolve().is_relative_to(folder.resolve()))


def open_file(path: Path, *, format: str = "auto", encoding: str = "utf-8") -> Opened:
    """Detect the format of a file. Raises UnreadableFile when it has no conversations."""
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
    """Every file of the zip that holds conversations; others are skipped, as in a folder."""
    opened: list[Opened] = []
    skipped: list[str] = []
    for name in members(path, SUFFIXES - {".zip"}):
        opener = partial(Member, path, name)
        try:
            opened.append(_open_stream(opener, f"{path}:{name}", format=format, encoding=encoding))
        except UnreadableFile as error:
            skipped.append(str(error))
    if not opened:
        raise UnreadableFile(skipped[0])

    def rows() -> Iterator[FileRow]:
        for one in opened:
            yield from one.rows()

    kinds = ",".join(sorted({one.format for one in opened}))
    return Opened(format=f"zip:{kinds}", rows=rows, skipped=tuple(skipped))


# --- one stream -----------------------------------------------------------------------------------------------
Opener = Callable[[], Any]


def _open_stream(opener: Opener, name: str, *, format: str, encoding: str) -> Opened:
    with closing(opener()) as file:
        # As much as one record may hold, because the format is detected from a whole first record.
        head = _buffered(file).read(MAX_RECORD)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnreadableFile(f"{name} is UTF-16; save it as UTF-8, e.g. iconv -f UTF-16 -t UTF-8")
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not start:
        raise UnreadableFile(f"{name} is empty")
    if b"\x00" in start.split(b"\n", 1)[0]:
        raise UnreadableFile(f"{name} is not text in {encoding}; if it is UTF-16, save it as UTF-8 with iconv")
    if start[:1] == b"[":
        return _open_list(opener, name, format, encoding)
    if start[:1] == b"{":
        return _open_lines(opener, name, format, start, encoding)
    return _open_table(opener, name, format, head, encoding)


def _buffered(file: Any) -> BinaryIO:
    return io.BufferedReader(file) if isinstance(file, io.RawIOBase) else file


def _mapped(line: int, record: Any, mapper: Mapper) -> FileRow:
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
            f"{name} has no known conversations ({seen}); expected tickets, calls, Taskmaster, SGD or a "
            f"table with a column message or text"
        )
    return found


def _has(what: str, record: dict[str, Any]) -> str:
    return f"{what} has {', '.join(sorted(record)[:6]) or 'nothing in it'}"


def _open_list(opener: Opener, name: str, format: str, encoding: str) -> Opened:
    looked_at = [record for _, record in islice(_items(opener, encoding), LOOKED_AT)]
    whole = [record for record in looked_at if isinstance(record, dict)]
    first = next((record for record in whole if format_of_record(record)), None)
    seen = _has("its first record", whole[0]) if whole else f"its first record: {looked_at[0] if looked_at else 'none'}"
    kind = _chosen(format, format_of_record(first) if first else None, name, seen)

    def rows() -> Iterator[FileRow]:
        for line, record in _items(opener, encoding):
            bad = isinstance(record, BadPayload)
            yield FileRow(line, record) if bad else _mapped(line, record, MAPPERS[kind].mapper)

    return Opened(kind, rows)


def _items(opener: Opener, encoding: str) -> Iterator[tuple[int, dict[str, Any] | BadPayload]]:
    """The records of a JSON list with their lines; one that cannot be read comes as a BadPayload.

    A list written on one line is counted in records instead, because "line 1" for each would help little.
    """
    with closing(opener()) as file:
        blocks = iter(partial(_buffered(file).read, BLOCK), b"")
        for number, (line, raw) in enumerate(list_records(blocks, limit=MAX_RECORD), start=1):
            line = line if line > 1 else number
            try:
                yield line, _parsed(raw, encoding)
            except BadPayload as bad:
                yield line, bad


def _open_lines(opener: Opener, name: str, format: str, start: bytes, encoding: str) -> Opened:
    line = start.split(b"\n", 1)[0]
    try:
        record = parse_json(line.decode(encoding))
    except (BadPayload, UnicodeDecodeError):
        return _open_document(opener, name, format)
    kind = _chosen(format, format_of_record(record), name, _has("its first record", record))

    def rows() -> Iterator[FileRow]:
        with closing(opener()) as file:
            for number, raw in _lines(_buffered(file)):
                if isinstance(raw, bytes) and not raw.strip():
                    continue
                try:
                    yield _mapped(number, _parsed(raw, encoding), MAPPERS[kind].mapper)
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
            raise UnreadableFile(f"{name} starts like JSON but is not; check how it was written") from None
        return _open_lines(opener, name, format if format != "auto" else "flywheel", b"{\"messages\":[]}", "utf-8")
    kind = _chosen(format, format_of_record(record), name, _has("it", record))
    return Opened(kind, lambda: iter([_mapped(1, record, MAPPERS[kind].mapper)]))


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
    """Numbered lines. One that is too long is skipped in pieces, so that it never is in memory, and reported."""
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
    if b"\r" in head and b"\n" not in head:
        raise UnreadableFile(f"{name} ends its lines with CR alone, as old Macs did; save it with LF or CRLF")
    line = head.removeprefix(b"\xef\xbb\xbf").splitlines()[0].decode(encoding, "replace")
    delimiter = max(",;\t", key=line.count)
    columns = [cell.strip().lower() for cell in next(csv.reader([line], delimiter=delimiter))]
    kind = _chosen(format, format_of_columns(set(columns)), name, f"its first line is {line[:80]!r}")
    twice = next((column for column in columns if column and columns.count(column) > 1), None)
    if twice is not None:
        raise UnreadableFile(f"{name} has the column {twice[:80]!r} twice; rename one of them")

    def rows() -> Iterator[FileRow]:
        with closing(opener()) as file:
            yield from _table_rows(_buffered(file), delimiter, encoding, MAPPERS[kind].mapper)

    return Opened(kind, rows)


def _table_rows(
    file: BinaryIO, delimiter: str, encoding: str, mapper: Mapper
) -> Iterator[FileRow]:
    # Python's default of 128 KiB is shorter than long conversations.
    csv.field_size_limit(MAX_RECORD)
    table = _Table(file, delimiter, encoding)
    header: list[str] | None = None
    while (found := table.row()) is not None:
        line, cells = found
        if isinstance(cells, BadPayload):
            yield FileRow(line, cells)
            if header is None:
                return
        elif header is None:
            header = [cell.strip().lower() for cell in cells]
        elif any(cell.strip() for cell in cells):
            if len(cells) == len(header):
                yield _mapped(line, dict(zip(header, cells, strict=True)), mapper)
                continue
            # Not filled up or cut, because it is unknown which cell is missing, and a text would end up in another
            # column.
            yield FileRow(line, BadPayload(
                f"has {len(cells)} cells, the header has {len(header)}; quote cells that hold {delimiter!r}"
            ))


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    text: str
    fault: BadPayload | None = None


class _Table:
    """The rows of a table, each with the number of its first line.

    A quote that is not closed swallows good rows, up to the next quote or the end of the file. Then only its own line
    is bad, and the others are read again.
    """

    def __init__(self, file: BinaryIO, delimiter: str, encoding: str) -> None:
        self._lines = _text_lines(file, encoding)
        self._delimiter = delimiter
        self._again: deque[_Line] = deque()

    def row(self) -> tuple[int, list[str] | BadPayload] | None:
        """The next row's cells, or why it has none; None at the end."""
        used: list[_Line] = []
        try:
            cells = next(csv.reader(self._record_lines(used), delimiter=self._delimiter, strict=True), None)
        except csv.Error as error:
            self._again.extendleft(reversed(used[1:]))
            return used[0].number, BadPayload(f"this is not CSV: {error}; is a quote not closed here?")
        if cells is None:
            return None
        fault = next((line.fault for line in used if line.fault), None)
        return used[0].number, fault or cells

    def _record_lines(self, used: list[_Line]) -> Iterator[str]:
        size = 0
        while line := self._again.popleft() if self._again else next(self._lines, None):
            used.append(line)
            size += len(line.text)
            if size > MAX_RECORD:
                raise csv.Error(f"the row is longer than {MAX_RECORD} characters")
            yield line.text


def _text_lines(file: BinaryIO, encoding: str) -> Iterator[_Line]:
    for number, raw in _lines(file):
        if isinstance(raw, BadPayload):
            yield _Line(number, "\n", raw)
            continue
        if number == 1:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
        try:
            yield _Line(number, _decoded(raw, encoding))
        except BadPayload as bad:
            yield _Line(number, raw.decode(encoding, "replace"), bad)


