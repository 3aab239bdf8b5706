"""events.jsonl: one RunEvent a line, flushed as it happens, numbered without gaps over all attempts of a run.

Who reads it and what is shown is left to the worker.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from training.contract import RunEvent

EVENTS_FILE = "events.jsonl"


class EventLog:
    """Appends events. A line that a killed attempt left half-written is cut off before the next is added."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / EVENTS_FILE
        self._seq = _repair(self.path)
        self._file = self.path.open("a", encoding="utf-8")

    def emit(self, kind: str, **data: Any) -> RunEvent:
        """Write one event. Numbers that JSON cannot hold (nan, inf) become null."""
        self._seq += 1
        event = RunEvent(self._seq, datetime.now(UTC).isoformat(timespec="milliseconds"), kind, _finite(data))
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


def _repair(path: Path) -> int:
    """Cut a torn last line off; returns the last event's number, 0 for none."""
    if not path.exists():
        return 0
    whole, last = 0, 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                last = RunEvent.from_json(json.loads(line)).seq
            except ValueError:
                break
            whole += len(line)
    with path.open("rb+") as file:
        file.truncate(whole)
    return last


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
