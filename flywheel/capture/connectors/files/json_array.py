"""A JSON list's records as bytes, one by one, without parsing them.

Streaming parsers of JSON build each record and have no limit: one record or deeply nested brackets can fill the memory,
and a fault in one record ends the list. This scanner reads only strings, brackets and the commas between records, at
about 30 MB/s; each record is parsed by itself later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from flywheel.capture.domain.payloads import BadPayload

# A complete string or a mark. Possessive quantifiers, because backtracking over a string that continues in the next
# block would take quadratic time.
_BETWEEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{},]', re.DOTALL)
_INSIDE = re.compile(rb'"(?:[^"\\]++|\\.)*+"|["\[\]{}]', re.DOTALL)
_STRING = re.compile(rb'["\\]')


Found = tuple[int, bytes | BadPayload]
"""A record, or why it cannot be read, with the line that it begins on."""


def list_records(blocks: Iterable[bytes], *, limit: int) -> Iterator[Found]:
    """The records of a list, without the commas between them; a BadPayload for one longer than `limit` bytes.

    Where the list breaks off or something follows it, a BadPayload is the last.
    """
    scanner = _Scanner(limit)
    for block in blocks:
        yield from scanner.feed(block)
        if scanner.depth == -2:
            break
    yield from scanner.end()


class _Scanner:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        # 0 before the list, 1 between records, above 1 inside a record, -1 after the list, -2 when more text follows.
        self.depth = 0
        self.count = 0
        self._in_string = self._escaped = False
        self._parts: list[bytes] = []
        self._size = 0
        # The line that the scanner is on, and the one that the record began on: 0 while only blanks have been seen.
        self._line, self._began = 1, 0

    def feed(self, block: bytes) -> Iterator[Found]:
        if self.depth == -1:
            self._after(block)
            return
        at = start = 0
        while at < len(block):
            if self._in_string:
                at = self._string_end(block, at)
                continue
            found = (_BETWEEN if self.depth == 1 else _INSIDE).search(block, at)
            if found is None:
                break
            at, mark = found.end(), found.group()
            if len(mark) > 1:
                continue
            if mark == b'"':
                self._in_string = True
            elif mark in b"[{":
                self.depth += 1
                if self.depth == 1:
                    self._line += block.count(b"\n", start, at)
                    start = at
            elif mark == b"," or self.depth == 1:
                yield from self._record(block[start : at - 1], last=mark != b",")
                start = at
                if mark != b",":
                    self._after(block[at:])
                    return
            else:
                self.depth -= 1
        self._keep(block[start:])

    def _string_end(self, block: bytes, at: int) -> int:
        """Where to continue: behind the string that began in an earlier block, or at this block's end."""
        if self._escaped:
            self._escaped = False
            return at + 1
        found = _STRING.search(block, at)
        if found is None:
            return len(block)
        if found.group() == b"\\":
            self._escaped = True
        else:
            self._in_string = False
        return found.end()

    def _keep(self, piece: bytes) -> None:
        if not self._began and (text := piece.lstrip()):
            self._began = self._line + piece.count(b"\n", 0, len(piece) - len(text))
        self._line += piece.count(b"\n")
        self._size += len(piece)
        if self._size <= self.limit:
            self._parts.append(piece)
        else:
            # A record beyond the limit becomes an error, so its content need not be kept.
            self._parts.clear()

    def _record(self, piece: bytes, *, last: bool) -> Iterator[Found]:
        self._keep(piece)
        content, size, line = b"".join(self._parts), self._size, self._began or self._line
        self._parts, self._size, self._began = [], 0, 0
        if last and not self.count and not content.strip() and size <= self.limit:
            return
        self.count += 1
        if size > self.limit:
            reason = f"the record has {size} bytes, at most {self.limit} are taken; split the conversation"
            yield line, BadPayload(reason)
        else:
            yield line, content

    def _after(self, rest: bytes) -> None:
        self.depth = -2 if rest.strip() else -1

    def end(self) -> Iterator[Found]:
        if self.depth == -2:
            yield self._line, BadPayload(f"something follows the list of {self.count} records; it is not read")
        elif self.depth >= 0:
            reason = f"the JSON breaks off after record {self.count}; the file is incomplete"
            yield self._began or self._line, BadPayload(reason)
