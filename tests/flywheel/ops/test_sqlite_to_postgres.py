"""A demo turns the wheel in an embedded installation, which then moves to PostgreSQL and RabbitMQ and turns on there."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db.models import Model

from annotation.models import Task
from flywheel.capture.models import Capture, Example, Source
from flywheel.ops.demo.pipeline import Report
from flywheel.ops.sqlite_to_postgres import MoveFailed, database_move, move_order
from tests import journey, servers
from tests.journey import Person
from tests.stack import ROOT, Stack, environment, need, postgres_database, rabbitmq_queues, running_stack

pytestmark = pytest.mark.timeout(900)
needs_postgresql = pytest.mark.skipif(not servers.postgres_answers(), reason="PostgreSQL does not answer")

KEYS = [field.name for field in dataclasses.fields(Report)]

COUNTED = """
from flywheel.stats.series import gauges_of
gate = gauges_of("gate:sft:EU")
print(gate.get("stage.settled"), gate.get("stage.ready"), gauges_of("gate").get("records"))
"""

# Every row of every table, as Python sees it, as one hash per table. PostgreSQL keeps no order of an object's keys.
DIGESTS = """
import hashlib, json
from django.apps import apps
found = {}
for model in apps.get_models(include_auto_created=True):
    names = [f.attname for f in model._meta.local_concrete_fields]
    rows = sorted(json.dumps(r, sort_keys=True, default=repr) for r in model._base_manager.values_list(*names))
    found[model._meta.db_table] = [len(rows), hashlib.sha256("\\n".join(rows).encode()).hexdigest()]
print(json.dumps(found))
"""

# Dies without a word as soon as so many rows are written, inside a table's transaction.
KILLED = """
import os, signal
from flywheel.ops.sqlite_to_postgres import database_move
written = 0
def progress(rows):
    global written
    written += rows
    if written > 1000:
        os.kill(os.getpid(), signal.SIGKILL)
database_move(source_url={source!r}, told=lambda table: None, progress=progress)
"""


# --- without a server ---------------------------------------------------------------------------------------------


def test_tables_come_after_those_they_refer_to() -> None:
    place = {model: number for number, group in enumerate(order()) for model in group}
    assert place[Source] < place[Capture] < place[Example] < place[Task]


def test_tables_that_refer_to_one_another_stand_together() -> None:
    together = [group for group in order() if len(group) > 1]
    assert [{model.__name__ for model in group} for group in together] == [{"Task", "Annotation"}]


def order() -> list[list[type[Model]]]:
    return move_order(list(apps.get_models(include_auto_created=True)))


@pytest.mark.django_db
def test_only_postgresql_is_filled(settings: object) -> None:
    from django.db import connection

    if connection.vendor == "postgresql":
        pytest.skip("the database in use is PostgreSQL")
    with pytest.raises(MoveFailed, match="set DATABASE_URL"):
        database_move(source_url="sqlite:////nowhere/db.sqlite3", told=lambda table: None)


# --- for real -----------------------------------------------------------------------------------------------------


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def until(true: Any, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)


def figures_agree(report: dict[str, Any]) -> None:
    """What the figures of one turn have to say about each other, whatever the data was."""
    assert report["duplicates"] <= report["captured"]
    assert report["cleared"] + sum(report["refused"].values()) == report["annotated"] <= report["captured"]
    assert sum(report["splits"].values()) == report["cleared"]
    assert len(report["snapshot_root"]) == 64
    if report["run_status"] == "done":
        assert report["tokens"] > 0
        assert report["model"]
        assert report["promoted"] == (report["tuned_loss"] < report["base_loss"])
    assert bool(report["suggestions"]) <= report["promoted"]


@dataclass
class Demo:
    """A demo that was stopped half-way, one that was refused beside it, and one that turned the wheel after it."""

    stopped: subprocess.CompletedProcess[str]
    refused: subprocess.CompletedProcess[str]
    turned: subprocess.CompletedProcess[str]
    var: Path

    @property
    def report(self) -> dict[str, Any]:
        """What the last one said."""
        return dict(json.loads(self.turned.stdout))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """One process after the other in one folder; a module's tests look at what they left."""
    var = tmp_path_factory.mktemp("embedded")
    env, lock = environment(var), var / "demo.lock"
    command = [sys.executable, "manage.py", "demo", "--model", "tiny", "--limit"]

    first = subprocess.Popen([*command, "150"], cwd=ROOT, env=env, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    until(lambda: lock.exists() and len(lock.read_text().split()) == 3)
    # It rests while the second one looks, however long that takes.
    first.send_signal(signal.SIGSTOP)
    second = subprocess.run([*command, "30"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    first.send_signal(signal.SIGINT)
    first.send_signal(signal.SIGCONT)
    out, err = first.communicate(timeout=60)
    until(lambda: all(gone(int(pid)) for pid in lock.read_text().split()))
    third = subprocess.run([*command, "30"], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    return Demo(subprocess.CompletedProcess(first.args, first.returncode, out, err), second, third, var)


@pytest.mark.slow
def test_a_demo_is_stopped_cleanly_and_the_next_one_turns_the_wheel(demo: Demo) -> None:
    assert demo.refused.returncode == 1
    assert "another demo runs in" in demo.refused.stderr
    assert (demo.stopped.returncode, demo.stopped.stdout) == (130, ""), demo.stopped.stderr[-2000:]
    assert "Traceback" not in demo.stopped.stderr

    assert demo.turned.returncode == 0, demo.turned.stderr[-3000:]
    assert demo.turned.stdout.count("\n") == 1
    report = demo.report
    assert list(report) == KEYS
    assert report["captured"] == 30
    figures_agree(report)
    assert report["run_status"] == "done"
    assert report["promoted"]
    assert report["tuned_loss"] < report["base_loss"]
    assert report["suggestions"] > 0
    # No worker runs beside a demo, and yet the pages show what it did.
    stack = Stack(url="", folder=demo.var, env=environment(demo.var / "demo"))
    counted = stack.manage("shell", "-c", COUNTED).splitlines()[-1]
    assert counted == f"{report['annotated']} {report['cleared']} {report['captured']}"


@pytest.fixture(scope="module")
def embedded(demo: Demo) -> Stack:
    """An embedded installation after one whole turn: captured, annotated, frozen, trained, promoted, suggested."""
    stack = Stack(url="", folder=demo.var / "demo", env=environment(demo.var / "demo"))
    stack.manage(
        "shell", "-c",
        "from flywheel.core.models import User\n"
        "for name in ('admin', 'annotator'):\n"
        "    u = User.objects.get(username=name); u.set_password('kept'); u.save()",
    )
    return stack


@pytest.fixture(scope="module")
def migrated(embedded: Stack) -> Iterator[str]:
    """The name of a PostgreSQL database as migrations leave it, to be copied."""
    with postgres_database() as url:
        replace(embedded, env=embedded.env | {"DATABASE_URL": url}).manage("migrate", "-v0")
        yield url.rpartition("/")[2]


@pytest.fixture
def target(embedded: Stack, migrated: str) -> Iterator[Stack]:
    """The same folder with a fresh, migrated PostgreSQL database."""
    with postgres_database() as url:
        name = url.rpartition("/")[2]
        with psycopg.connect(f"{servers.POSTGRES_URL}/postgres", autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name}".encode())
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {migrated}".encode())
        yield replace(embedded, env=embedded.env | {"DATABASE_URL": url})


@pytest.fixture
def copy(embedded: Stack, tmp_path: Path) -> Path:
    """A copy of the embedded database that a test may spoil."""
    return Path(shutil.copy(embedded.folder / "db.sqlite3", tmp_path / "copy.sqlite3"))


def move(stack: Stack, path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "database_move", "--source", f"sqlite:///{path}"]
    return subprocess.run(command, cwd=ROOT, env=stack.env, capture_output=True, text=True, timeout=120, check=False)


def digests(stack: Stack) -> dict[str, list[object]]:
    found: dict[str, list[object]] = json.loads(stack.manage("shell", "-v0", "-c", DIGESTS).strip().splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.rabbitmq
@needs_postgresql
def test_every_row_arrives_the_ledger_holds_and_the_wheel_turns_on(demo: Demo, embedded: Stack, target: Stack) -> None:
    need("RabbitMQ")
    done = move(target, embedded.folder / "db.sqlite3")
    assert done.returncode == 0, done.stderr
    assert "ledger ok" in done.stdout
    before = digests(embedded)
    assert digests(target) == before
    for table in ("audit_ledgerentry", "annotation_annotation", "runs_modelversion", "datasets_snapshotrow"):
        rows = before[table][0]
        assert rows
        assert f"{table}: {rows} rows\n" in done.stdout
    assert target.manage("ledger_verify").startswith("ok: ")

    with (
        rabbitmq_queues() as settings,
        running_stack(embedded.folder, settings, database_url=target.env["DATABASE_URL"]) as stack,
    ):
        assert stack.passwords == {}
        stack.passwords |= {"admin": "kept", "annotator": "kept"}
        with closing(Person(stack, "admin")) as admin, closing(Person(stack, "annotator")) as annotator:
            def tasks() -> int:
                return sum(1 for _ in admin.pages(f"projects/{journey.PROJECT}/tasks/"))

            before_delivery, model = tasks(), demo.report["model"]
            journey.capture(admin, [AFTER_THE_MOVE])
            journey.until(lambda: tasks() == before_delivery + 1, "making a task")
            # The champion that came with the database suggests: web, worker and trainer hear of it by RabbitMQ alone.
            journey.until(lambda: admin.post(f"models/{model}/suggestions/")["batch"] is None, "suggesting", every=1)
            assert journey.suggestion_met(annotator, model)["text"].strip()
        assert stack.manage("ledger_verify").startswith("ok: ")
        assert "Traceback" not in stack.logs()


AFTER_THE_MOVE = {
    "source": "mossbeck-helpdesk", "external_id": "after-the-move", "messages": [
        {"role": "customer", "author": "cus-1", "text": "My mower stops at the third flower bed."},
        {"role": "agent", "author": "Al", "text": "Clean its left wheel, please."},
    ],
}


@pytest.mark.slow
@needs_postgresql
def test_a_move_that_was_killed_goes_on(embedded: Stack, target: Stack) -> None:
    source = embedded.folder / "db.sqlite3"
    script = KILLED.format(source=f"sqlite:///{source}")
    killed = subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", script], cwd=ROOT, env=target.env, capture_output=True,
        text=True, timeout=120, check=False,
    )
    assert killed.returncode == -9
    done = move(target, source)
    assert done.returncode == 0, done.stderr
    assert "core_user: 5 rows (there already)\n" in done.stdout
    assert re.search(r"datasets_snapshotrow: \d+ rows\n", done.stdout)
    assert digests(target) == digests(embedded)
    again = move(target, source)
    assert again.returncode == 1
    assert "the target is not empty" in again.stderr


@pytest.mark.slow
@needs_postgresql
def test_a_half_done_move_of_a_source_that_changed_is_not_gone_on_with(
    embedded: Stack, target: Stack, copy: Path
) -> None:
    script = KILLED.format(source=f"sqlite:///{copy}")
    subprocess.run(
        [sys.executable, "manage.py", "shell", "-v0", "-c", script], cwd=ROOT, env=target.env, capture_output=True,
        timeout=120, check=False,
    )
    changed = replace(embedded, env=embedded.env | {"DATABASE_URL": f"sqlite:///{copy}"})
    changed.manage(
        "shell", "-c",
        "from django.db import transaction; from flywheel.audit.ledger import ledger_append; from flywheel.audit.actions import Action; from flywheel.core.actors import SystemActor\n"
        "with transaction.atomic(): ledger_append(actor=SystemActor('system'), action=Action.TASK_SUBMIT, object='x')",
    )
    done = move(target, copy)
    assert done.returncode == 1
    assert "the source has changed since" in done.stderr


@pytest.mark.slow
@needs_postgresql
def test_what_postgresql_cannot_store_is_named(target: Stack, copy: Path) -> None:
    with sqlite3.connect(copy) as database:
        pk, = database.execute("SELECT max(id) FROM provenance_subject").fetchone()
        database.execute("UPDATE provenance_subject SET external_ref = 'a' || char(0) || 'b' WHERE id = ?", [pk])
    database.close()
    done = move(target, copy)
    assert done.returncode == 1
    assert f"row {pk} of provenance_subject cannot be stored by PostgreSQL" in done.stderr
    with sqlite3.connect(copy) as database:
        database.execute("UPDATE provenance_subject SET external_ref = ? WHERE id = ?", ["x" * 301, pk])
    database.close()
    done = move(target, copy)
    assert f"row {pk} of provenance_subject cannot be stored by PostgreSQL (value too long" in done.stderr


@pytest.mark.slow
@needs_postgresql
def test_a_source_in_use_or_of_another_version_is_refused(target: Stack, copy: Path) -> None:
    writer = sqlite3.connect(copy, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert "stop web, worker and trainer" in move(target, copy).stderr
    writer.execute("DELETE FROM django_migrations WHERE app = 'capture' AND name = '0002_triggers'")
    writer.execute("COMMIT")
    writer.close()
    done = move(target, copy)
    assert "the source lacks 1 migrations, capture.0002_triggers first" in done.stderr
