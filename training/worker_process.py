"""The trainer as a child of its worker: started on a leash, stopped, its events read, its old folders removed.

`python -m training.worker_process PARENT_PID COMMAND …` starts a command that dies with its parent: a trainer whose
worker was killed must not go on burning hours unseen. Only Linux has that signal; elsewhere the worker's own signal
handling must suffice. Standard library only; the worker does the networking.
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
"""prctl(2)."""

EVENTS_AT_ONCE = 200
KEEP_SECONDS = 14 * 24 * 3600


@dataclass(slots=True)
class Orders:
    """What the heartbeat learned: whether to stop, why, and whether the job is ours at all."""

    stop: str = ""
    lost: str = ""
    over: threading.Event = field(default_factory=threading.Event)


class Child:
    """A command in a session of its own, so that Ctrl-C reaches the worker only, which then decides."""

    def __init__(self, command: Sequence[str], log: Path, environment: dict[str, str]) -> None:
        self.log = log
        package = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join(p for p in (package, environment.get("PYTHONPATH", "")) if p)
        with log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "training.worker_process", str(os.getpid()), *command], stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True, env=environment | {"PYTHONPATH": path},
            )

    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def wait(self) -> int:
        """Its exit code; negative for the signal that killed it."""
        return self.process.wait()

    def stop(self, grace: float, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to stop, then make it and everything that it started."""
        if not self.alive():
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=grace)
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def last_words(self) -> str:
        """The last line that it wrote."""
        text = self.log.read_text(errors="replace").strip()
        return text.splitlines()[-1][:2000].removeprefix("error: ") if text else "it said nothing"


class Tail:
    """Reads a run folder's events and numbers them for the web.

    A folder may be newer than its run (the first attempt was on another machine): `offset` is added to its numbers,
    so that nothing is taken for a repetition. `last_seq` is the highest number that the web knows.
    """

    def __init__(self, events: Path, note: Path, last_seq: int) -> None:
        self.path, self.position = events, 0
        self.pending: list[dict[str, Any]] = []
        local = sum(1 for _ in self._lines())
        offset = int(note.read_text()) if note.is_file() else 0
        self.offset = offset if offset + local >= last_seq else last_seq - local
        note.write_text(str(self.offset))
        self.sent, self.position = last_seq, 0

    def read(self) -> list[dict[str, Any]]:
        """Whole events that the web does not know yet, up to what it takes at once."""
        for event in self._lines():
            event["seq"] += self.offset
            if event["seq"] > self.sent:
                self.pending.append(event)
        return self.pending[:EVENTS_AT_ONCE]

    def taken(self, count: int) -> None:
        """The web has the first `count` of what `read` gave."""
        self.sent = self.pending[count - 1]["seq"]
        del self.pending[:count]

    def _lines(self) -> Iterator[dict[str, Any]]:
        """Whole lines after `position`; a half-written last one is left for the next time."""
        if not self.path.is_file():
            return
        with self.path.open("rb") as file:
            file.seek(self.position)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self.position += len(line)
                with contextlib.suppress(ValueError):
                    yield json.loads(line)


def prune(work_dir: Path) -> None:
    """Remove folders of jobs that nobody came back to for two weeks; they hold rows of snapshots."""
    for folder in work_dir.iterdir():
        with contextlib.suppress(OSError):
            if folder.is_dir() and time.time() - folder.stat().st_mtime > KEEP_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def main(arguments: list[str]) -> None:
    """Put the leash on this process, then become the command."""
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            # It died before the leash was on.
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
