"""The Makefile's own logic: what it hands to the programs it starts. The programs are replaced by ones that print it."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import termios
import time
from pathlib import Path

import pytest

from tests.stack import ROOT

INSTALLED = ("-o", ".venv/.run-installed", "-o", "node_modules/.installed", "-o", "node_modules/.dev-installed")
SAY = '#!/bin/sh\necho "{name} port=$PORT url=$FLYWHEEL_URL" "$@"\nexit {code}\n'


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder of programs that say what they were given."""
    for name in ("python", "honcho"):
        say(tmp_path / name)
    return tmp_path


def say(program: Path, *, code: int = 0) -> None:
    program.write_text(SAY.format(name=program.name, code=code))
    program.chmod(0o755)


def make(programs: Path, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FLYWHEEL_", "MAKE")) and k not in ("PORT", "BIN")}
    return subprocess.run(
        ["make", *INSTALLED, f"BIN={programs}", *args], cwd=ROOT, env=kept | env, capture_output=True, text=True,
        check=False,
    )


def test_run_tells_every_process_the_same_port_and_address(programs: Path) -> None:
    done = make(programs, "run")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "--port=8000" in lines[0]
    assert lines[1] == "Flywheel is starting on http://127.0.0.1:8000 (Ctrl-C stops everything)"
    assert lines[2].startswith("honcho port=8000 url=http://127.0.0.1:8000 ")


def test_run_installs_no_front_end_package_that_only_checks_need(programs: Path) -> None:
    new = ("-n", "-W", "package-lock.json", "-o", ".venv/.run-installed", "-o", ".venv/.dev-installed")
    for target, omits in (("setup", True), ("setup-dev", False)):
        done = subprocess.run(["make", *new, f"BIN={programs}", target], cwd=ROOT, capture_output=True, text=True,
                              check=True)
        (command,) = [line for line in done.stdout.splitlines() if "npm ci" in line]
        assert ("--omit=dev" in command) is omits


def test_run_takes_another_port_from_the_command_line_or_the_environment(programs: Path) -> None:
    for done in (make(programs, "run", "PORT=8001"), make(programs, "run", PORT="8001")):
        assert "honcho port=8001 url=http://127.0.0.1:8001 " in done.stdout
        assert "--port=8001" in done.stdout


def test_an_address_that_is_set_stays(programs: Path) -> None:
    done = make(programs, "run", FLYWHEEL_URL="https://flywheel.example")
    assert "honcho port=8000 url=https://flywheel.example " in done.stdout


@pytest.mark.parametrize(("code", "expected"), [(130, 0), (1, 2)])
def test_stopping_is_no_error_and_a_failure_is(programs: Path, code: int, expected: int) -> None:
    say(programs / "honcho", code=code)
    assert make(programs, "run").returncode == expected


def hears_signals() -> None:
    """What a caller ignores, such as nohup or a shell that started the tests in its background, is heard again."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.timeout(60)
def test_what_ends_make_ends_the_supervisor_first(programs: Path, number: signal.Signals) -> None:
    """TERM goes to make alone, as `kill` sends it; INT to its whole group, as a terminal does."""
    told = programs / "told"
    (programs / "honcho").write_text(f"#!/bin/sh\ntrap 'echo stopped >> {told}; exit 143' TERM\necho up\n"
                                     "while :; do sleep 0.05; done\n")
    make_run = subprocess.Popen(["make", *INSTALLED, f"BIN={programs}", "run"], cwd=ROOT, stdout=subprocess.PIPE, text=True,
                                start_new_session=True, preexec_fn=hears_signals)
    assert make_run.stdout is not None
    assert "up\n" in iter(make_run.stdout.readline, "")
    (os.kill if number == signal.SIGTERM else os.killpg)(make_run.pid, number)
    make_run.communicate(timeout=60)
    assert told.read_text() == "stopped\n"


def in_a_terminal() -> None:
    """Standard input becomes the process's terminal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    hears_signals()


@pytest.mark.timeout(60)
def test_a_closed_terminal_ends_everything_though_nothing_can_be_written_any_more(programs: Path) -> None:
    told = programs / "told"
    (programs / "honcho").write_text(
        f"#!/bin/sh\ntrap 'echo stopping || exit 1; echo stopped >> {told}; exit 143' TERM\necho up\n"
        "while :; do sleep 0.05; done\n"
    )
    master, terminal = os.openpty()
    with subprocess.Popen(
        ["make", *INSTALLED, f"BIN={programs}", "run"], cwd=ROOT, stdin=terminal, stdout=terminal, stderr=terminal,
        start_new_session=True, preexec_fn=in_a_terminal,
    ) as make_run:
        os.close(terminal)
        seen = b""
        while b"up\r\n" not in seen:
            seen += os.read(master, 1000)
        os.close(master)
        os.killpg(make_run.pid, signal.SIGHUP)  # as the shell does whose terminal it was
    # On the second signal, make itself does not wait.
    while not told.exists() or not told.read_text():
        time.sleep(0.05)
    assert told.read_text() == "stopped\n"


def runs(pid: int) -> bool:
    """Whether it runs; one that has ended and was not asked for by its parent does not."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()[:1] not in ("", "Z")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="what was left is found through /proc")
@pytest.mark.slow
@pytest.mark.timeout(60)
def test_what_a_killed_supervisor_leaves_is_ended(programs: Path) -> None:
    """One child ends when told, another does not listen."""
    pids = programs / "pids"
    for name, when_told in (("good", "exit 0"), ("deaf", "")):
        (programs / name).write_text(f"trap '{when_told}' TERM\necho $$ >> {pids}\nwhile :; do sleep 0.05; done\n")
    (programs / "honcho").write_text(
        f"#!/bin/sh\necho $$ > {programs}/own\nsh {programs}/good &\nsh {programs}/deaf &\nwhile :; do sleep 0.05; done\n"
    )
    with subprocess.Popen(["make", *INSTALLED, f"BIN={programs}", "run"], cwd=ROOT, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as make_run:
        while not pids.exists() or len(pids.read_text().split()) < 2:
            time.sleep(0.05)
        os.kill(int((programs / "own").read_text()), signal.SIGKILL)
        make_run.communicate(timeout=60)
    assert make_run.returncode != 0
    assert [pid for pid in pids.read_text().split() if runs(int(pid))] == []


def test_demo_hands_a_path_with_any_characters_on_as_one(programs: Path) -> None:
    done = make(programs, "demo", "DATA=/data/it's a \"folder\"; echo no", "LIMIT=300", "LICENSE=CC0-1.0", "MODEL=tiny")
    assert done.stdout.endswith(
        "manage.py demo --data=/data/it's a \"folder\"; echo no --license=CC0-1.0 --limit=300 --model=tiny\n"
    )


def test_demo_asks_for_nothing_that_is_not_named(programs: Path) -> None:
    assert make(programs, "demo").stdout.endswith("manage.py demo\n")
