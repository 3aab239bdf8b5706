"""The event log: numbered without gaps over attempts, whole lines only, JSON without nan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from training.contract import RunEvent
from training.errors import BadInput
from training.events import EventLog


def lines(folder: Path) -> list[RunEvent]:
    return [RunEvent.from_json(json.loads(line)) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_numbers_go_on_over_attempts(tmp_path: Path) -> None:
    for _ in range(3):
        with EventLog(tmp_path) as events:
            events.emit("log", message="a")
            events.emit("log", message="b")
    assert [e.seq for e in lines(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_a_line_torn_by_a_kill_is_cut_off(tmp_path: Path) -> None:
    with EventLog(tmp_path) as events:
        events.emit("log", message="whole")
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"seq": 2, "at": "2024-')
    with EventLog(tmp_path) as events:
        events.emit("log", message="next")
    assert [(e.seq, e.data["message"]) for e in lines(tmp_path)] == [(1, "whole"), (2, "next")]


def test_a_number_that_json_cannot_hold_becomes_null(tmp_path: Path) -> None:
    with EventLog(tmp_path) as events:
        events.emit("metric", step=1, loss=float("nan"), more=[float("inf"), {"x": 1.5}])
    assert lines(tmp_path)[0].data == {"step": 1, "loss": None, "more": [None, {"x": 1.5}]}


def test_an_event_can_be_read_as_soon_as_it_is_written(tmp_path: Path) -> None:
    with EventLog(tmp_path) as events:
        events.emit("log", message="now")
        assert len(lines(tmp_path)) == 1


def test_two_processes_never_write_one_log(tmp_path: Path) -> None:
    with EventLog(tmp_path) as events:
        events.emit("log", message="mine")
        with pytest.raises(BadInput, match="another process works in"):
            EventLog(tmp_path)
    with EventLog(tmp_path) as events:
        events.emit("log", message="free again")
    assert [e.seq for e in lines(tmp_path)] == [1, 2]
