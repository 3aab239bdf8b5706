"""The trainer as a child process of its worker: starting, stopping, reading its events, removing old folders.

`python -m training.worker.process PARENT_PID COMMAND …` starts a command that dies with its parent, because a trainer
whose worker was killed must not use up GPU hours that no worker reports. Only Linux has that signal; on other systems
the worker's own signal handling must suffice. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
"""Option number in prctl(2)."""

EVENTS_AT_ONCE = 200
KEEP_SECONDS = 14 * 24 * 3600


@dataclass(slots=True)
class Orders:
    """What the heartbeat thread learned from the web.

    stop: why the job must stop, "" to go on. lost: why the lease is lost, "" while it is held. over: set when the job
    has ended, so that the heartbeat ends too.
    """

    stop: str = ""
    lost: str = ""
    over: threading.Event = field(default_factory=threading.Event)


class Child:
    """A command in its own session, so that Ctrl-C reaches only the worker, which then decides what to do."""

    def __init__(self, command: Sequence[str], log: Path, environment: dict[str, str]) -> None:
        self.log = log
        # The child must find this package from whatever folder the worker was started in.
        package = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(p for p in (package, environment.get("PYTHONPATH", "")) if p)
        with log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "training.worker.process", str(os.getpid()), *command], stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True, env=environment | {"PYTHONPATH": path},
            )

    def alive(self) -> bool:
        """Whether the process is still running."""
        return self.process.poll() is None

    def wait(self) -> int:
        """Wait for the end and return the exit code; negative for the signal that killed the process."""
        return self.process.wait()

    def stop(self, grace: float, number: signal.Signals = signal.SIGTERM) -> None:
        """Send `number` to the whole session, wait `grace` seconds, then kill what is left of it."""
        if not self.alive():
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=grace)
            # Also when the trainer itself has ended: processes that it started may still run in its session.
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def last_words(self) -> str:
        """The last line of the log, at most 2,000 characters."""
        # Libraries write to this log too, and not always valid UTF-8.
        text = self.log.read_text(errors="replace").strip()
        return text.splitlines()[-1][:2000].removeprefix("error: ") if text else "it wrote nothing"


class Tail:
    """Reads a run folder's events and numbers them for the web.

    A folder may be newer than its run (the first attempt ran on another machine). `offset` is then added to its
    numbers, because the web ignores numbers that it already has. `last_seq` is the highest number the web has.
    """

    def __init__(self, events: Path, note: Path, last_seq: int) -> None:
        self.path, self.position = events, 0
        self.pending: list[dict[str, Any]] = []
        local = sum(1 for _ in self._lines())
        offset = int(note.read_text()) if note.is_file() else 0
        self.offset = offset if offset + local >= last_seq else last_seq - local
        # On disk, because the next attempt in this folder must number the same events the same way.
        note.write_text(str(self.offset))
        self.sent, self.position = last_seq, 0

    def read(self) -> list[dict[str, Any]]:
        """Whole events that the web does not have yet, at most EVENTS_AT_ONCE."""
        # `position` is behind the last whole line, so that each call reads only what is new.
        for event in self._lines():
            event["seq"] += self.offset
            if event["seq"] > self.sent:
                self.pending.append(event)
        return self.pending[:EVENTS_AT_ONCE]

    def taken(self, count: int) -> None:
        """Drop the first `count` events of what `read` gave, because the web has stored them."""
        self.sent = self.pending[count - 1]["seq"]
        del self.pending[:count]

    def _lines(self) -> Iterator[dict[str, Any]]:
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            file.seek(self.position)
            for line in file:
                # The trainer is still writing this line; the next call reads it whole.
                if not line.endswith(b"\n"):
                    return
                self.position += len(line)
                with contextlib.suppress(ValueError):
                    yield json.loads(line)


def job_folders_prune(work_dir: Path) -> None:
    """Remove job folders untouched for KEEP_SECONDS, because they hold rows of snapshots."""
    for folder in work_dir.iterdir():
        with contextlib.suppress(OSError):
            if folder.is_dir() and time.time() - folder.stat().st_mtime > KEEP_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str]) -> None:
    """Ask the kernel to kill this process when its parent dies, then become the command."""
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # The parent may have died before prctl took effect; the kernel sends no signal for that.
        if os.getppid() != parent:
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
