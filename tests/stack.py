"""The whole product as its users run it: prepared, then web, worker with beat and trainer under one supervisor.

Used by the browser journeys and the journey tests; each stack has its own folder, port and, where asked, database.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests import servers

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Stack:
    """A running product: its address, its folder, the demo people's passwords."""

    url: str
    folder: Path
    env: dict[str, str]
    passwords: dict[str, str] = field(default_factory=dict)

    def manage(self, *args: str, timeout: float = 300) -> str:
        """Run a management command in this stack's environment and return what it prints."""
        done = subprocess.run(
            [sys.executable, "manage.py", *args], cwd=ROOT, env=self.env, capture_output=True, text=True,
            timeout=timeout, check=False,
        )
        assert done.returncode == 0, f"manage.py {' '.join(args)} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    def logs(self) -> str:
        """What the processes said, for a failing test's message."""
        return (self.folder / "stack.log").read_text(errors="replace")[-6000:]


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(folder: Path, *, database_url: str = "", broker_url: str = "", port: int = 0) -> dict[str, str]:
    """The environment of a stack with everything below `folder`; base models are shared between stacks."""
    port = port or free_port()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FLYWHEEL_", "DJANGO_", "CELERY_", "DATABASE_"))}
    env |= {
        "DJANGO_SETTINGS_MODULE": "flywheel.settings.dev",
        "FLYWHEEL_VAR_DIR": str(folder),
        "FLYWHEEL_MODELS_DIR": str(ROOT / "var" / "models"),
        "FLYWHEEL_URL": f"http://127.0.0.1:{port}",
        "PORT": str(port),
        "HF_HUB_OFFLINE": "1",
        "PATH": f"{Path(sys.executable).parent}:{env.get('PATH', '')}",
    }
    if database_url:
        env["DATABASE_URL"] = database_url
    if broker_url:
        env["CELERY_BROKER_URL"] = broker_url
    return env


@contextlib.contextmanager
def postgres_database() -> Iterator[str]:
    """The address of a fresh PostgreSQL database, dropped afterwards."""
    import psycopg

    name = f"flywheel_stack_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(f"{servers.POSTGRES_URL}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield f"{servers.POSTGRES_URL}/{name}"
        finally:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@contextlib.contextmanager
def running_stack(folder: Path, *, database_url: str = "", broker_url: str = "", limit: int = 60) -> Iterator[Stack]:
    """Prepare with the tiny model and start every process; stops all of them at the end."""
    env = environment(folder, database_url=database_url, broker_url=broker_url)
    stack = Stack(url=env["FLYWHEEL_URL"], folder=folder, env=env)
    folder.mkdir(parents=True, exist_ok=True)
    said = stack.manage("prepare", "--model", "tiny", "--limit", str(limit), "--json")
    stack.passwords = json.loads(said.strip().splitlines()[-1])["passwords"]
    command = [sys.executable, "-m", "honcho", "-d", str(ROOT), "-f", "flywheel/Procfile", "start"]
    with (folder / "stack.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=env | {"PYTHONUNBUFFERED": "1"}, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_until_it_answers(stack)
            yield stack
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def wait_until_it_answers(stack: Stack, *, seconds: float = 60) -> None:
    """Wait for the web process."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{stack.url}/healthz", timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.3)
    raise AssertionError(f"nothing answered at {stack.url}:\n{stack.logs()}")
