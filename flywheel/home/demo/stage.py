"""The processes a turn needs beside this one: the web for the trainer to report to, and the trainer.

This process plays the worker itself, so that a turn is over as soon as its last job is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def web_and_trainer(logs: Path) -> Iterator[None]:
    """Run both until the block ends; each writes its own log below `logs`."""
    url = settings.FLYWHEEL["PUBLIC_URL"]
    commands = {
        "web": ["gunicorn", "flywheel.wsgi:application", "--bind", url.removeprefix("http://"), "--workers", "1",
                "--threads", "4", "--worker-class", "gthread", "--no-control-socket"],
        "trainer": ["celery", "-A", "training.worker", "worker", "--pool", "solo", "--concurrency", "1", "--queues",
                    "gpu", "--loglevel", "INFO", "--without-gossip", "--without-mingle"],
    }
    with contextlib.ExitStack() as stack:
        for name, command in commands.items():
            stack.enter_context(_process(name, command, logs))
        _wait_for(f"{url}/healthz", logs)
        yield


@contextlib.contextmanager
def _process(name: str, command: list[str], logs: Path) -> Iterator[None]:
    with (logs / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", *command], cwd=settings.BASE_DIR, env=os.environ.copy(), stdout=log, stderr=log,
            start_new_session=True,
        )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_for(url: str, logs: Path, *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(url, timeout=2):  # noqa: S310
            return
        time.sleep(0.2)
    raise RuntimeError(f"nothing answered at {url} within {seconds:g} s; see {logs / 'web.log'}")
