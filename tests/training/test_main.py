"""The command line as a user meets it: exit codes, one line on stderr, killing and resuming."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training import builders
from tests.training.outputs import events, losses, result, weights
from training.__main__ import main

SpecOf = Callable[..., dict[str, Any]]
ENV = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def trainer(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "training", *map(str, arguments)], capture_output=True, text=True,
                          env=ENV, check=False)


def started(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-m", "training", *map(str, arguments)], stderr=subprocess.PIPE,
                            text=True, env=ENV)


def spec_file(tmp_path: Path, spec: dict[str, Any]) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(spec))
    return path


def wait_for_checkpoints(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        path = out / "events.jsonl"
        if path.exists() and path.read_text().count('"checkpoint"') >= count:
            return
        time.sleep(0.01)
    raise AssertionError(f"no {count} checkpoints; the process returned {process.poll()}")


LONG = {"epochs": 8, "checkpoint_every": 2}


@pytest.mark.slow
def test_kill_9_at_any_moment_and_the_next_attempt_ends_with_the_same_weights(
    spec_of: SpecOf, tmp_path: Path
) -> None:
    path, out = spec_file(tmp_path, spec_of(hyperparameters=LONG)), tmp_path / "out"
    for count in (2, 8):
        process = started("run", path, out)
        wait_for_checkpoints(out, count, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert trainer("run", path, out).returncode == 0
    assert trainer("run", path, tmp_path / "through").returncode == 0
    assert weights(out) == weights(tmp_path / "through")
    assert result(out).resumed_from_step > 0
    # Steps after the last checkpoint before a kill are done twice, with the same losses.
    assert dict(losses(out)) == dict(losses(tmp_path / "through"))
    assert events(out)[-1].kind == "done"


@pytest.mark.slow
def test_sigterm_stops_with_a_checkpoint_and_exit_3(spec_of: SpecOf, tmp_path: Path) -> None:
    path, out = spec_file(tmp_path, spec_of(hyperparameters=LONG)), tmp_path / "out"
    process = started("run", path, out)
    wait_for_checkpoints(out, 2, process)
    process.terminate()
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, result(out).stop_reason) == (3, "stopped on request (SIGTERM)")
    assert f"step-{result(out).steps:06d}" in {p.name for p in (out / "checkpoints").iterdir()}
    assert "Traceback" not in stderr


@pytest.mark.slow
def test_sigterm_while_the_libraries_load_is_exit_3(spec_of: SpecOf, tmp_path: Path) -> None:
    path, out = spec_file(tmp_path, spec_of()), tmp_path / "out"
    process = started("run", path, out)
    while not (out / "events.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.001)
    process.terminate()
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in stderr) == (3, False)
    assert not (out / "checkpoints").exists()


@pytest.mark.slow
def test_bad_input_is_one_line_on_stderr_and_exit_2(spec_of: SpecOf, tmp_path: Path) -> None:
    done = trainer("run", spec_file(tmp_path, spec_of(base_model="nowhere")), tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.startswith("error: base model 'nowhere' is neither a folder")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_tampered_snapshot_is_refused_before_training(spec_of: SpecOf, tmp_path: Path) -> None:
    spec = spec_of()
    records = builders.rows()
    records[0]["messages"][-1]["content"] = "Tampered."
    builders.snapshot(Path(spec["snapshot"]["path"]), records, merkle_root=spec["snapshot"]["merkle_root"])
    done = trainer("run", spec_file(tmp_path, spec), tmp_path / "out")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "does not verify: merkle_root" in done.stderr
    assert not (tmp_path / "out" / "checkpoints").exists()
    verify = trainer("verify", spec["snapshot"]["path"])
    assert (verify.returncode, "merkle_root" in verify.stderr, "NOT OK" in verify.stdout) == (2, True, True)


def answered(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, standard output and error of a command in this process."""
    code = main([str(a) for a in arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run_id": 1}', "[" * 100_000])
def test_a_file_that_is_not_a_specification_is_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    path = tmp_path / "spec.json"
    path.write_text(text)
    code, _, said = answered(capsys, "run", path, tmp_path / "out")
    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith("error: ")


def test_a_missing_specification_is_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, said = answered(capsys, "run", tmp_path / "nowhere.json", tmp_path / "out")
    assert (code, "cannot be read" in said) == (2, True)


def test_verify_asks_for_the_root_it_is_given(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, root = builders.snapshot(tmp_path / "s")
    assert answered(capsys, "verify", folder, "--root", root)[1].startswith(f"OK {root} 34 rows")
    assert answered(capsys, "verify", folder, "--root", "0" * 64)[0] == 2
    assert answered(capsys, "verify", tmp_path / "nowhere")[0] == 2
