"""The processes a turn needs beside this one: the web for the trainer to report to, and the trainer.

This process plays the worker itself, so that a turn is over as soon as its last job is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from django.conf import settings


def free_port() -> int:
    """A free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Busy(RuntimeError):
    """Another demo, or a process that one left behind, works in the same folder."""


def claim(folder: Path) -> int:
    """Claim a folder for this process and those it starts, until the last of them has ended. Raises Busy.

    Returns the descriptor that holds the claim; it outlives exec and goes to children by `pass_fds`.
    """
    file = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holders = os.read(file, 200).decode(errors="replace").split()
        os.close(file)
        raise Busy(
            f"another demo runs in {folder} (processes {', '.join(holders)}); wait for it, or end those processes"
        ) from None
    os.ftruncate(file, 0)
    os.set_inheritable(file, True)
    claimed_by(file, os.getpid())
    return file


def claimed_by(file: int, pid: int) -> None:
    """Write down who holds the claim, for the message of the next demo."""
    os.lseek(file, 0, os.SEEK_END)
    os.write(file, f"{pid}\n".encode())


@contextlib.contextmanager
def web_and_trainer(logs: Path, *, claimed: int) -> Iterator[Callable[[], None]]:
    """Run both until the block ends; each writes its own log below `logs` and shares the claim `claimed`.

    Yields a function that raises RuntimeError when one of them has ended before its time.
    """
    url = settings.FLYWHEEL["PUBLIC_URL"]
    commands = {
        "web": ["gunicorn", "flywheel.wsgi:application", "--bind", url.removeprefix("http://"), "--workers", "1",
                "--threads", "4", "--worker-class", "gthread", "--no-control-socket"],
        "trainer": ["celery", "-A", "training.worker", "worker", "--pool", "solo", "--concurrency", "1",
                    "--loglevel", "INFO", "--without-gossip", "--without-mingle"],
    }
    running: dict[str, subprocess.Popen[bytes]] = {}

    def alive() -> None:
        for name, process in running.items():
            if process.poll() is not None:
                raise RuntimeError(f"the {name} ended with code {process.returncode}; see {logs / f'{name}.log'}")

    with contextlib.ExitStack() as stack:
        for name, command in commands.items():
            running[name] = stack.enter_context(_process(name, command, logs, claimed))
        try:
            _wait_for(f"{url}/healthz", logs, alive)
            yield alive
        finally:
            # They end side by side; the stack then waits for each.
            for process in running.values():
                process.send_signal(signal.SIGTERM)


@contextlib.contextmanager
def _process(name: str, command: list[str], logs: Path, claimed: int) -> Iterator[subprocess.Popen[bytes]]:
    with (logs / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", *command], cwd=settings.BASE_DIR, env=os.environ.copy(), stdout=log, stderr=log,
            start_new_session=True, pass_fds=(claimed,),
        )
        claimed_by(claimed, process.pid)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                # It hangs, or the person does not want to wait.
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_for(url: str, logs: Path, alive: Callable[[], None], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=2):  # noqa: S310
            return
        alive()
        time.sleep(0.2)
    raise RuntimeError(f"nothing answered at {url} within {seconds:g} s; see {logs / 'web.log'}")
