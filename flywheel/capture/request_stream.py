"""Lines of a request's body as it arrives: chunked or not, gzip or not, in constant memory."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from django.http import HttpRequest, UnreadablePostError

from flywheel.capture.domain.payloads import BadPayload, Row
from flywheel.core.errors import TooLarge, UserError, ValidationFailed

BLOCK = 64 * 1024
MAX_RATIO = 250
"""A packed body may unpack to this many times its size; tickets stay below 30, a bomb reaches 1,000."""


class UnsupportedEncoding(UserError):
    """A content encoding that is not understood."""

    status = 415
    code = "unsupported_encoding"


def body_blocks(request: HttpRequest) -> Iterator[bytes]:
    """The body in blocks, unpacked.

    Raises UnsupportedEncoding, TooLarge for a bomb and ValidationFailed for a damaged body.
    """
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    raw = _raw_blocks(request)
    if encoding in ("", "identity"):
        return raw
    if encoding in ("gzip", "x-gzip"):
        return _unpacked(raw)
    raise UnsupportedEncoding(f"content encoding {encoding!r} is not understood; send gzip or none")


def _raw_blocks(request: HttpRequest) -> Iterator[bytes]:
    # Django reads nothing of a body without a length; the server marks when such a body's end can be trusted.
    chunked = "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower()
    stream: Any = request.META["wsgi.input"] if chunked and request.META.get("wsgi.input_terminated") else request
    read = 0
    try:
        while block := stream.read(BLOCK):
            read += len(block)
            yield block
    except (UnreadablePostError, OSError):
        raise _broken_off() from None
    announced = request.META.get("CONTENT_LENGTH") or "0"
    if stream is request and announced.isdigit() and read < int(announced):
        # A server ends a body that stays short without an error, and what arrived may end with a complete line.
        raise _broken_off()


def _broken_off() -> ValidationFailed:
    return ValidationFailed("the connection broke off; send the rest again, repeated lines do no harm")


def _unpacked(blocks: Iterable[bytes]) -> Iterator[bytes]:
    # zlib and not `gzip.open`, because the body arrives in blocks and is never whole in memory.
    unpacker = zlib.decompressobj(wbits=31)
    read = written = 0
    for block in blocks:
        read += len(block)
        while block:
            try:
                data = unpacker.decompress(block, BLOCK)
            except zlib.error as error:
                raise ValidationFailed(f"the body is not whole gzip ({error}); pack it again") from None
            block = unpacker.unconsumed_tail
            written += len(data)
            if written > MAX_RATIO * read + BLOCK:
                raise TooLarge(f"the packed body unpacks to more than {MAX_RATIO} times its size; send it unpacked")
            if data:
                yield data
            if unpacker.eof and unpacker.unused_data:
                # Concatenated gzip members are one gzip file (RFC 1952, 2.2).
                block, unpacker = unpacker.unused_data, zlib.decompressobj(wbits=31)
    # An incomplete gzip body decompresses without an error, so its end must be asked for.
    if read and not unpacker.eof:
        raise ValidationFailed("the packed body ends in the middle; send it again, repeated lines do no harm")


def body_whole(request: HttpRequest, *, limit: int) -> bytes:
    """The whole body. Raises TooLarge above `limit` bytes."""
    parts, size = [], 0
    for block in body_blocks(request):
        parts.append(block)
        size += len(block)
        if size > limit:
            raise TooLarge(f"the body is larger than {limit} bytes; split the conversation, or ask for a higher limit")
    return b"".join(parts)


def rows_of(blocks: Iterable[bytes], *, limit: int) -> Iterator[Row]:
    """Numbered lines; empty ones are passed over, one longer than `limit` bytes becomes a row that says so."""
    rest: list[bytes] = []
    size = line = 0
    for block in blocks:
        *ended, tail = block.split(b"\n")
        for piece in ended:
            line += 1
            rest.append(piece)
            yield from _line_row(line, rest, size + len(piece), limit)
            rest, size = [], 0
        size += len(tail)
        if size <= limit:
            rest.append(tail)
        else:
            # A line beyond the limit becomes an error, so its content need not be kept.
            rest.clear()
    if size:
        yield from _line_row(line + 1, rest, size, limit)


def _line_row(line: int, pieces: list[bytes], size: int, limit: int) -> Iterator[Row]:
    if size > limit:
        yield Row(line, BadPayload(f"the line has {size} bytes, at most {limit} are taken; split the conversation"))
        return
    content = b"".join(pieces)
    if content.strip():
        yield Row(line, content)
