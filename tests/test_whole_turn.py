"""The whole turn on PostgreSQL and Redis, with every process killed on the way.

Capture, annotate, review, gate, freeze, train, evaluate, promote and suggest go over HTTP; the worker and the trainer get
their work by the broker only. SQLite with files turns in tests/browser/test_journey.py, through the pages, and in the demo
of tests/flywheel/ops/test_sqlite_to_postgres.py, which moves to PostgreSQL and RabbitMQ.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import journey
from tests.journey import Person, until
from tests.stack import (
    ROOT,
    Stack,
    need,
    postgres_database,
    redis_queues,
    running_apart,
    wait_until_it_answers,
)

pytestmark = pytest.mark.slow

PREPARED, DELIVERED, ANNOTATED, LEFT_OPEN = 12, 36, 30, 8
KILLED_AT_MOST = {"FLYWHEEL_CLAIM_SECONDS": "8", "FLYWHEEL_RUN_LEASE_SECONDS": "5"}


@contextmanager
def postgres_and(queues: Callable[[], Any]) -> Iterator[dict[str, str]]:
    with postgres_database() as url, queues() as settings:
        yield settings | {"DATABASE_URL": url}


@dataclass
class Cast:
    annotator: Person
    reviewer: Person
    lead: Person
    admin: Person

    @classmethod
    @contextmanager
    def of(cls, stack: Stack) -> Iterator[Cast]:
        """Signed in, and signed off again at the end."""
        with ExitStack() as people:
            roles = ("annotator", "reviewer", "lead", "admin")
            yield cls(*(people.enter_context(closing(Person(stack, role))) for role in roles))


def tasks(cast: Cast) -> int:
    return sum(1 for _ in cast.lead.pages(f"projects/{journey.PROJECT}/tasks/"))


def check_snapshot(cast: Cast, snapshot: dict[str, Any], folder: Path) -> None:
    assert (snapshot["status"], snapshot["error"]) == ("frozen", "")
    assert snapshot["row_count"] + sum(snapshot["refused_counts"].values()) == ANNOTATED
    assert sum(snapshot["split_counts"].values()) == snapshot["row_count"]
    assert all(snapshot["split_counts"].values())
    files = journey.downloaded(cast.lead, snapshot["uid"], folder)
    said = subprocess.run(
        [sys.executable, "-m", "training", "verify", str(files)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert snapshot["merkle_root"] in said.stdout


def check_run(cast: Cast, run: dict[str, Any]) -> None:
    assert (run["status"], run["error"]) == ("done", "")
    told = _events(cast, run)
    # An attempt that goes on from a checkpoint tells the steps since that checkpoint again; none is left out.
    steps = {e["data"]["step"] for e in told if e["kind"] == "metric"}
    assert run["step"] == run["total_steps"]
    assert steps == set(range(1, run["total_steps"] + 1))
    assert [e["seq"] for e in told] == list(range(1, run["last_seq"] + 1))
    evaluation = cast.lead.get(f"models/{run['model']}/")["evaluation"]
    assert evaluation["split"] == "test"
    assert evaluation["tuned_loss"] < evaluation["base_loss"]


def _events(cast: Cast, run: dict[str, Any]) -> list[dict[str, Any]]:
    return list(cast.lead.get(f"runs/{run['uid']}/events/")["events"])


def check_suggestions(cast: Cast, model: str) -> None:
    assert cast.admin.post(f"models/{model}/promote/")["status"] == "champion"
    until(lambda: cast.admin.post(f"models/{model}/suggestions/")["batch"] is None, "suggesting", every=1)
    assert journey.suggestion_met(cast.annotator, model)["text"].strip()


def check_ledger(stack: Stack) -> None:
    assert stack.manage("ledger_verify").startswith("ok: ")


def test_whatever_is_killed_on_the_way_everything_ends_once(tmp_path: Path) -> None:
    need("PostgreSQL", "Redis")
    with (
        postgres_and(redis_queues) as settings,
        running_apart(tmp_path / "stack", settings | KILLED_AT_MOST, limit=PREPARED) as (stack, processes),
        Cast.of(stack) as cast,
    ):
        def killed(name: str) -> None:
            processes.kill(name)
            processes.start(name)

        journey.capture(cast.admin, journey.tickets()[PREPARED : PREPARED + DELIVERED])
        killed("worker")
        until(lambda: tasks(cast) >= ANNOTATED + LEFT_OPEN, "making tasks")
        answered = journey.annotate(cast.annotator, ANNOTATED)
        killed("web")
        wait_until_it_answers(stack)
        journey.review(cast.reviewer, answered)
        asked = journey.freeze_asked(cast.lead)
        killed("worker")
        snapshot = journey.frozen(cast.lead, asked)
        check_snapshot(cast, snapshot, tmp_path / "snapshot")

        run = journey.train_asked(cast.lead, cast.admin, snapshot["uid"])
        until(lambda: cast.lead.get(f"runs/{run}/")["step"] >= 30, "training a little", every=0.1)
        killed("trainer")
        ended = journey.trained(cast.lead, run)
        assert ended["attempt"] == 2
        check_run(cast, ended)
        check_suggestions(cast, ended["model"])
        check_ledger(stack)
