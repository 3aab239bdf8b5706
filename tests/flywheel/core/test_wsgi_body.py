"""Unread request bodies: connections stay usable, large ones are not read, answers get through. By a real gunicorn."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flywheel.core import wsgi_body
from flywheel.core.wsgi_body import BodyReader
from tests.stack import ROOT, environment, free_port

# --- without a server ---------------------------------------------------------------------------------------------


class Server:
    """What gunicorn hands to an application, as far as it matters here."""

    closed = False

    def force_close(self) -> None:
        self.closed = True

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        self.status = status


def ask(body: bytes, *, read: int = 0, length: int | None = None, chunked: bool = False) -> tuple[Server, io.BytesIO]:
    """A POST to an application that reads `read` bytes of its body and answers."""

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if read:
            environ["wsgi.input"].read(read)
        start_response("401 Unauthorized", [])
        return [b"no"]

    server, stream = Server(), io.BytesIO(body)
    environ: dict[str, Any] = {"wsgi.input": stream, "wsgi.input_terminated": True}
    environ |= {"HTTP_TRANSFER_ENCODING": "chunked"} if chunked else {"CONTENT_LENGTH": str(length or len(body))}
    content = BodyReader(application)(environ, server.start_response)
    assert b"".join(content) == b"no"
    if hasattr(content, "close"):
        content.close()
    return server, stream


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("read", [0, 1, 200_000])
def test_a_small_body_is_read_to_its_end(read: int, chunked: bool) -> None:
    server, stream = ask(b"x" * 200_000, read=read, chunked=chunked)
    assert stream.read() == b""
    assert not server.closed


@pytest.mark.parametrize("chunked", [False, True])
def test_after_a_large_body_the_connection_closes(chunked: bool) -> None:
    server, _ = ask(b"x" * (wsgi_body.READ_OFF + 1), chunked=chunked)
    assert server.closed


def test_a_body_shorter_than_it_says_closes_the_connection() -> None:
    assert ask(b"x" * 10, length=20)[0].closed


@pytest.mark.parametrize("length", ["", "0", "-1", "ten", "١"])
def test_without_a_length_and_unmarked_nothing_is_read(length: str) -> None:
    stream = io.BytesIO(b"of another request")
    server = Server()

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [])
        return []

    BodyReader(application)({"wsgi.input": stream, "CONTENT_LENGTH": length}, server.start_response)
    assert stream.read() == b"of another request"
    assert not server.closed


def test_a_servers_own_file_wrapper_is_handed_on_as_it_is() -> None:
    wrapper = object()

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        return wrapper

    assert BodyReader(application)({"wsgi.input": io.BytesIO()}, Server().start_response) is wrapper


# --- a real server ------------------------------------------------------------------------------------------------


@dataclass
class Gunicorn:
    port: int
    pid: int

    def worker_megabytes(self) -> float:
        """The most memory that the worker has ever had."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        status = Path(f"/proc/{children[0]}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))

    def connect(self) -> socket.socket:
        opened = socket.create_connection(("127.0.0.1", self.port))
        opened.settimeout(20)
        return opened


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    port = free_port()
    env = environment(tmp_path_factory.mktemp("bodies"), port=port) | {"FLYWHEEL_LOG_LEVEL": "ERROR"}
    command = [sys.executable, "-m", "gunicorn", "flywheel.wsgi:application", "--bind", f"127.0.0.1:{port}",
               "--workers", "1", "--threads", "4", "--worker-class", "gthread", "--no-control-socket"]
    process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.DEVNULL)
    try:
        running = Gunicorn(port, process.pid)
        _wait(running)
        yield running
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(running: Gunicorn) -> None:
    for _ in range(150):
        try:
            with running.connect() as connection:
                get(connection)
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("gunicorn does not answer")


def get(connection: socket.socket) -> tuple[int, bool]:
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    return answer(connection)


def post(connection: socket.socket, path: str, size: int, *, chunked: bool = False, header: str = "") -> None:
    how = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    connection.sendall(f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}{how}\r\n\r\n".encode())
    block = b"x" * 65_536
    while size:
        piece = block[: min(size, len(block))]
        connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        size -= len(piece)
    if chunked:
        connection.sendall(b"0\r\n\r\n")


def answer(connection: socket.socket) -> tuple[int, bool]:
    """Status of the next answer, read to its end, and whether the connection stays open."""
    with connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        headers = {}
        while (line := stream.readline().strip()):
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip().lower()
        stream.read(int(headers[b"content-length"]))
    return status, headers[b"connection"] == b"keep-alive"


PATHS = {"/api/v1/captures/": 401, "/accounts/login/": 403, "/nowhere/": 404, "/static/nothing.css": 404}


@pytest.mark.slow
@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_after_an_early_answer_the_same_connection_serves_the_next_request(
    path: str, chunked: bool, gunicorn: Gunicorn
) -> None:
    with gunicorn.connect() as connection:
        for _ in range(5):
            post(connection, path, 200_000, chunked=chunked)
            assert answer(connection)[1]
            assert get(connection) == (200, True)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/healthz", "/accounts/login/", "/nowhere/", "/api/v1/runs/"])
def test_after_an_answer_to_head_the_same_connection_serves_the_next_request(path: str, gunicorn: Gunicorn) -> None:
    with gunicorn.connect() as connection:
        connection.sendall(f"HEAD {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        assert get(connection) == (200, True)


@pytest.mark.slow
@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_body_is_answered_without_being_held_in_memory(chunked: bool, gunicorn: Gunicorn) -> None:
    with gunicorn.connect() as connection:
        get(connection)
        before = gunicorn.worker_megabytes()
        post(connection, "/api/v1/captures/", 100_000_000, chunked=chunked)
        assert answer(connection) == (401, False)
        assert connection.recv(1) == b""
    assert gunicorn.worker_megabytes() - before < 20


@pytest.mark.slow
def test_a_client_that_closes_gets_its_answer_before_the_connection_goes(gunicorn: Gunicorn) -> None:
    for _ in range(5):
        with gunicorn.connect() as connection:
            post(connection, "/api/v1/captures/", 20_000_000, header="Connection: close\r\n")
            assert answer(connection) == (401, False)


@pytest.mark.slow
def test_a_promised_body_that_never_arrives_holds_a_thread_only_briefly(gunicorn: Gunicorn) -> None:
    with gunicorn.connect() as connection:
        connection.sendall(b"POST /api/v1/captures/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nx")
        started = time.monotonic()
        assert answer(connection) == (401, False)
        assert time.monotonic() - started < wsgi_body.READ_OFF_SECONDS + 15


@pytest.mark.slow
def test_broken_chunks_are_answered_and_end_the_connection(gunicorn: Gunicorn) -> None:
    with gunicorn.connect() as connection:
        connection.sendall(
            b"POST /api/v1/captures/ HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n"
        )
        assert answer(connection) == (401, False)
        assert connection.recv(1) == b""
