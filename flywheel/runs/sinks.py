"""Run sinks: places outside the database that see every event of every run.

A new sink is a class with `event` and one entry in `SINKS`; `FLYWHEEL_RUN_SINKS` names those that an installation uses.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from django.conf import settings
from django.core import checks
from django.db import transaction

from flywheel.runs.models import TrainingRun
from training.contract import RunEvent

log = logging.getLogger(__name__)


class RunSink(Protocol):
    """Where events go. A sink is called in the request that reports the events, so it must return quickly."""

    def event(self, run: TrainingRun, event: RunEvent) -> None:
        """Take one event. Called once per event, in the order of `seq`; an exception skips the rest of the report."""


class LogSink:
    """One line of JSON per event in the log of the web process."""

    def event(self, run: TrainingRun, event: RunEvent) -> None:
        log.info("%s", _event_line(run, event))


class JsonlSink:
    """One file per run below `FLYWHEEL_RUN_SINK_DIR`, one line of JSON per event."""

    def event(self, run: TrainingRun, event: RunEvent) -> None:
        folder = Path(settings.FLYWHEEL["RUN_SINK_DIR"])
        folder.mkdir(parents=True, exist_ok=True)
        # One unbuffered write in append mode: lines of several web processes follow one another and never mix.
        with (folder / f"{run.uid}.jsonl").open("ab", buffering=0) as file:
            file.write(_event_line(run, event).encode() + b"\n")


SINKS: dict[str, Callable[[], RunSink]] = {"log": LogSink, "jsonl": JsonlSink}


def _event_line(run: TrainingRun, event: RunEvent) -> str:
    return json.dumps({"run": str(run.uid), "attempt": run.attempts, **event.to_json()}, sort_keys=True)


def events_publish(run: TrainingRun, events: Iterable[RunEvent]) -> None:
    """Hand new events to the configured sinks once the caller's transaction has committed.

    Best effort: a process that dies between commit and call loses the events for its sinks, never for the database.
    """
    names, fresh = settings.FLYWHEEL["RUN_SINKS"], list(events)
    if names and fresh:
        # Only committed events may leave the database, because a report that is rolled back is sent again.
        transaction.on_commit(partial(_events_send, names, run, fresh))


def _events_send(names: list[str], run: TrainingRun, events: list[RunEvent]) -> None:
    for name in names:
        try:
            sink = SINKS[name]()
            for event in events:
                sink.event(run, event)
        except Exception:
            # A trainer must not lose its report, and with it its lease, because a disk or a tracker is away.
            log.exception("run sink %r failed; events %s to %s of run %s may be missing there",
                          name, events[0].seq, events[-1].seq, run.uid)


def sinks_check(**kwargs: Any) -> list[checks.CheckMessage]:
    """Every name in `FLYWHEEL_RUN_SINKS` is registered."""
    return [
        checks.Error(f"FLYWHEEL_RUN_SINKS names {name!r}; use any of {', '.join(SINKS)}", id="runs.E001")
        for name in settings.FLYWHEEL["RUN_SINKS"] if name not in SINKS
    ]
