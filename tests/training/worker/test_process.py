"""The trainer as a child process: its events are read once, and it dies with its worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training.worker.processes import process_gone
from training.worker.process import Child, Tail, job_folders_prune


def events_write(folder: Path, *seqs: int, tail: str = "") -> Path:
    path = folder / "events.jsonl"
    path.write_text("".join(json.dumps({"seq": n, "kind": "log", "data": {}}) + "\n" for n in seqs) + tail)
    return path


def test_a_half_written_event_is_read_once_it_is_whole(tmp_path: Path) -> None:
    path = events_write(tmp_path, 1, tail='{"seq": 2')
    tail = Tail(path, tmp_path / "offset", 0)
    assert [e["seq"] for e in tail.read()] == [1]
    tail.taken(1)
    with path.open("a") as file:
        file.write(', "kind": "log", "data": {}}\n')
    assert [e["seq"] for e in tail.read()] == [2]


def test_a_new_folder_continues_the_numbers_that_the_web_has(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "events.jsonl", tmp_path / "offset", 50)
    events_write(tmp_path, 1, 2)
    assert [e["seq"] for e in tail.read()] == [51, 52]


def test_the_same_folder_gives_only_new_events(tmp_path: Path) -> None:
    events_write(tmp_path, 1, 2, 3)
    assert [e["seq"] for e in Tail(tmp_path / "events.jsonl", tmp_path / "offset", 2).read()] == [3]


@pytest.mark.slow
def test_a_trainer_dies_with_its_worker(tmp_path: Path) -> None:
    # The worker is killed here with SIGKILL, so that it cannot stop its trainer itself.
    pid = tmp_path / "pid"
    trainer = tmp_path / "trainer.py"
    trainer.write_text("import os, pathlib, sys, time\n"
                       "pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))\ntime.sleep(600)\n")
    script = (
        "import os, pathlib, sys, time\nfrom training.worker.process import Child\n"
        f"Child([sys.executable, {str(trainer)!r}, {str(pid)!r}], pathlib.Path({str(tmp_path / 'log')!r}),"
        " dict(os.environ))\ntime.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    try:
        end = time.monotonic() + 20
        while not (pid.is_file() and pid.read_text()):
            assert time.monotonic() < end
            time.sleep(0.05)
        child = int(pid.read_text())
        assert not process_gone(child, seconds=0)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert process_gone(child)


@pytest.mark.slow
def test_stopping_a_child_that_has_ended_is_a_no_op(tmp_path: Path) -> None:
    child = Child([sys.executable, "-c", "print('bye')"], tmp_path / "log", dict(os.environ))
    assert child.wait() == 0
    child.stop(1)
    assert child.last_words() == "bye"


def test_old_folders_are_removed(tmp_path: Path) -> None:
    old, new = tmp_path / "run-old", tmp_path / "run-new"
    old.mkdir()
    new.mkdir()
    os.utime(old, (1, 1))
    job_folders_prune(tmp_path)
    assert (old.exists(), new.exists()) == (False, True)
