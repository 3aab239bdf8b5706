"""events.jsonl: one RunEvent per line, flushed at once, numbered without gaps over all attempts of a run."""

from __future__ import annotations

import fcntl
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.contract import RunEvent
from training.contract.spec import EventKind
from training.errors import BadInput

EVENTS_FILE = "events.jsonl"


class EventLog:
    """Appends events. A line that a killed attempt left half-written is cut off first.

    The file is locked while it is open, so that two processes never work in one folder. Raises BadInput for a folder
    that cannot be written or in which another process works.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / EVENTS_FILE
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a", encoding="utf-8")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise BadInput(f"{str(folder)[:200]} cannot be written ({why}); name a folder that can") from None
        try:
            # The lock is on the log itself, because a lock file (filelock) would be one more file in the run's folder
            # and manifest. The kernel releases it when the process ends, however it ends.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise BadInput(f"another process works in {folder}; wait for its end or name another folder") from None
        self._seq = _torn_line_cut(self.path)

    def emit(self, kind: EventKind, **data: Any) -> RunEvent:
        """Write one event and flush it. Numbers that JSON cannot hold (nan, inf) become null."""
        self._seq += 1
        event = RunEvent(self._seq, datetime.now(UTC).isoformat(timespec="milliseconds"), kind, _finite_json(data))
        self._file.write(json.dumps(event.to_json(), ensure_ascii=False, allow_nan=False) + "\n")
        self._file.flush()
        return event

    def __enter__(self) -> EventLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the log is not used afterwards."""
        self._file.close()


def _torn_line_cut(path: Path) -> int:
    """Cut off everything after the last whole event. Returns its number, 0 for none."""
    whole, last = 0, 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                last = RunEvent.from_json(json.loads(line)).seq
            except (ValueError, RecursionError):
                break
            whole += len(line)
    with path.open("rb+") as file:
        # Cut and not skipped: the next event would otherwise be appended to the torn line, and both would be
        # unreadable.
        file.truncate(whole)
    return last


def _finite_json(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite_json(item) for item in value]
    return value
