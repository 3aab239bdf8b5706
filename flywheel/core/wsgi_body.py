"""Request bodies are read to their end before the response is sent, so that the connection can be used again.

A response may be ready before its request has arrived completely: 401, 403, 404, or a POST whose body is not needed.
Gunicorn reads the rest after it has responded. By then the client's next request may follow that rest; it is swallowed
and waits in the server's buffer until the connection is dropped. So a small rest is read before the response. A large
one is not: the response then announces that the connection closes, and for a moment what still arrives is thrown away,
because closing a socket with unread data resets the connection before the client has read the response.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

Environ = dict[str, Any]
Application = Callable[[Environ, Any], Iterable[bytes]]

READ_OFF = 1024 * 1024
"""Bytes of an unread body that are read to keep the connection."""

READ_OFF_SECONDS = 5.0
"""Longest time for that, because a client that announced a body and sends none must not hold a thread."""

LINGER_SECONDS = 2.0
"""How long a connection is still read from before it is closed."""

BLOCK = 64 * 1024


class BodyReader:
    """A WSGI application that reads what the wrapped one left unread of a request's body."""

    def __init__(self, application: Application) -> None:
        self.application = application

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        body = environ["wsgi.input"] = Body(environ)
        left_over = False

        def answer(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal left_over
            at_end = body.read_off(READ_OFF, seconds=READ_OFF_SECONDS)
            left_over = not at_end and _close_after(start_response)
            return start_response(status, headers, exc_info)

        content = self.application(environ, answer)
        return Lingering(content, body) if left_over else content


def _close_after(start_response: Any) -> bool:
    # WSGI has no way to ask for this, so it works with gunicorn only, through the object behind start_response.
    force_close = getattr(getattr(start_response, "__self__", None), "force_close", None)
    if force_close is None:
        return False
    force_close()
    return True


class Body:
    """`wsgi.input` that knows how much of it is left."""

    def __init__(self, environ: Environ) -> None:
        self._input = environ["wsgi.input"]
        self._socket = environ.get("gunicorn.socket")
        length = environ.get("CONTENT_LENGTH") or ""
        # Without a length only a server that marks the end of the body makes reading safe; with others it would block.
        endless = bool(environ.get("wsgi.input_terminated")) and "HTTP_TRANSFER_ENCODING" in environ
        self._left: int | None = int(length) if length.isascii() and length.isdigit() else None if endless else 0

    def read(self, size: int = -1) -> bytes:
        return self._counted(self._input.read(size) if size >= 0 else self._input.read())

    def readline(self, size: int = -1) -> bytes:
        return self._counted(self._input.readline(size) if size >= 0 else self._input.readline())

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _counted(self, data: bytes) -> bytes:
        if self._left is not None:
            self._left -= len(data)
        return data

    def read_off(self, limit: float, *, seconds: float) -> bool:
        """Throw away at most `limit` bytes. Returns whether the body ended; False for a broken or slow one."""
        # Decided from the announced length before anything is read, so a large body costs no time here.
        if self._left is not None and not 0 < self._left <= limit:
            return self._left <= 0
        until = time.monotonic() + seconds
        # A broken connection may raise anything here, and a complete response must be sent in spite of it.
        with suppress(Exception), self._patience(seconds):
            while limit > 0 and time.monotonic() < until:
                data = self.read(BLOCK if self._left is None else min(BLOCK, self._left))
                limit -= len(data)
                if not data or self._left == 0:
                    return not self._left
        return False

    @contextmanager
    def _patience(self, seconds: float) -> Iterator[None]:
        if self._socket is None:
            yield
            return
        before = self._socket.gettimeout()
        self._socket.settimeout(seconds)
        try:
            yield
        finally:
            # Gunicorn reads the next request from the same socket and relies on its own time limit.
            self._socket.settimeout(before)


class Lingering:
    """A response after which a large request is still read for a moment, so that the client can read the response."""

    def __init__(self, content: Iterable[bytes], body: Body) -> None:
        self._content, self._body = content, body

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._content)

    def close(self) -> None:
        if hasattr(self._content, "close"):
            self._content.close()
        self._body.read_off(math.inf, seconds=LINGER_SECONDS)
