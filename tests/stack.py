"""The whole product as its users run it: prepared, then web, worker with beat and trainer under one supervisor.

Used by the browser journeys and the journey tests; each stack has its own folder, port and, where asked, database and
queues.
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

import pytest
from honcho.environ import parse_procfile

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


def need(*names: str) -> None:
    """Skip by name what cannot run here; in continuous integration that is a failure."""
    absent = [name for name in names if not servers.available()[name]]
    if absent and os.environ.get("CI"):
        pytest.fail(f"{' and '.join(absent)} must answer in continuous integration")
    if absent:
        pytest.skip(f"{' and '.join(absent)} does not answer")


def free_port() -> int:
    """A free port of loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(folder: Path, settings: dict[str, str] | None = None, *, port: int = 0) -> dict[str, str]:
    """The environment of a stack with everything below `folder`, and what `settings` add; base models are shared."""
    port = port or free_port()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FLYWHEEL_", "DJANGO_", "CELERY_", "DATABASE_"))}
    env |= {
        "DJANGO_SETTINGS_MODULE": "flywheel.settings.dev",
        "FLYWHEEL_VAR_DIR": str(folder),
        "FLYWHEEL_MODELS_DIR": str(ROOT / "var" / "models"),
        "FLYWHEEL_URL": f"http://127.0.0.1:{port}",
        "PORT": str(port),
        "HF_HUB_OFFLINE": "1",
        "PYTHONUNBUFFERED": "1",
        "PATH": f"{Path(sys.executable).parent}:{env.get('PATH', '')}",
    }
    return env | (settings or {})


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
def redis_queues() -> Iterator[dict[str, str]]:
    """The settings of a broker in Redis with its own keys; they are deleted afterwards."""
    import redis

    prefix = f"stack-{uuid.uuid4().hex[:8]}."
    client = redis.Redis.from_url(servers.REDIS_URL)
    try:
        yield {
            "CELERY_BROKER_URL": servers.REDIS_URL, "FLYWHEEL_CACHE_URL": servers.REDIS_URL,
            "FLYWHEEL_QUEUE_PREFIX": prefix,
        }
        assert any(b"_kombu.binding" in key for key in client.scan_iter(f"{prefix}*")), "these queues were not used"
    finally:
        if keys := list(client.scan_iter(f"{prefix}*")):
            client.delete(*keys)
        client.close()


@contextlib.contextmanager
def rabbitmq_queues() -> Iterator[dict[str, str]]:
    """The settings of a broker in RabbitMQ with its own queues; they are deleted afterwards."""
    from kombu import Connection

    prefix = f"stack-{uuid.uuid4().hex[:8]}."
    names = [f"{prefix}{queue}" for queue in ("default", "gpu")]
    exchanges = [f"{prefix}{name}" for name in ("default", "gpu", "celeryev", "celery.pidbox")]
    with Connection(servers.RABBITMQ_URL) as connection, connection.channel() as channel:
        try:
            yield {"CELERY_BROKER_URL": servers.RABBITMQ_URL, "FLYWHEEL_QUEUE_PREFIX": prefix}
            for name in names:
                # Raises for a queue that does not exist, because then it was not used.
                channel.queue_declare(queue=name, passive=True)
        finally:
            with connection.channel() as broom:
                for name in names:
                    broom.queue_delete(name)
                for name in [*exchanges, f"reply.{prefix}celery.pidbox"]:
                    broom.exchange_delete(name)


def prepared(folder: Path, settings: dict[str, str], *, limit: int) -> Stack:
    """An installation with everything below `folder`, its people, part of the sample and the tiny model."""
    env = environment(folder, settings)
    stack = Stack(url=env["FLYWHEEL_URL"], folder=folder, env=env)
    folder.mkdir(parents=True, exist_ok=True)
    said = stack.manage("prepare", "--model", "tiny", "--limit", str(limit), "--json")
    stack.passwords = json.loads(said.strip().splitlines()[-1])["passwords"]
    return stack


@contextlib.contextmanager
def running_stack(
    folder: Path, settings: dict[str, str] | None = None, *, database_url: str = "", limit: int = 60
) -> Iterator[Stack]:
    """Prepare with the tiny model and start every process under the supervisor; stops all of them at the end."""
    named = {"DATABASE_URL": database_url} if database_url else {}
    stack = prepared(folder, named | (settings or {}), limit=limit)
    command = [sys.executable, "-m", "honcho", "-d", str(ROOT), "-f", "flywheel/Procfile", "start"]
    with (folder / "stack.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=stack.env, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until_it_answers(stack)
            yield stack
        except BaseException:
            print(stack.logs())
            raise
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


class Processes:
    """The supervisor's processes one by one, so that a test may kill one and start it again."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.commands: dict[str, str] = parse_procfile((ROOT / "flywheel" / "Procfile").read_text()).processes
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """Start one; its shell is replaced by the program, so that its process is the program's."""
        with (self.stack.folder / "stack.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                self.commands[name], shell=True, cwd=ROOT, env=self.stack.env, stdout=log, stderr=log,
                start_new_session=True,
            )

    def kill(self, name: str, number: int = signal.SIGKILL) -> None:
        """Kill one with everything in its process group, as power failures and the kernel do: without a word."""
        process = self.running.pop(name)
        os.killpg(process.pid, number)
        process.wait(timeout=30)


@contextlib.contextmanager
def running_apart(folder: Path, settings: dict[str, str], *, limit: int) -> Iterator[tuple[Stack, Processes]]:
    """Like `running_stack`, without a supervisor that stops everything when one process dies."""
    stack = prepared(folder, settings, limit=limit)
    processes = Processes(stack)
    try:
        for name in processes.commands:
            processes.start(name)
        wait_until_it_answers(stack)
        yield stack, processes
    finally:
        for name in list(processes.running):
            with contextlib.suppress(ProcessLookupError):
                processes.kill(name)


def wait_until_it_answers(stack: Stack, *, seconds: float = 60) -> None:
    """Wait for the web process."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{stack.url}/healthz", timeout=2) as answer:
            if answer.status == 200:
                return
        time.sleep(0.3)
    raise AssertionError(f"nothing answered at {stack.url}:\n{stack.logs()}")
