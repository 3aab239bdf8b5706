"""Workers that die: another takes the run up from its checkpoint, and a late word of the dead one changes nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from annotation.models import Project
from flywheel.audit.ledger import ledger_verify
from flywheel.audit.models import LedgerEntry
from flywheel.core.models import User
from flywheel.runs import services
from flywheel.runs.models import ModelVersion, TrainingRun
from tests.flywheel.runs.builders import Messages, budget_now
from tests.flywheel.runs.conftest import approved
from training.worker.main import Settings, job_run

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]

WORKER = """
import sys
from pathlib import Path
from training.worker.main import Settings, job_run
url, work, models, uid, token = sys.argv[1:]
print(job_run("run", uid, token, Settings(url=url, work_dir=Path(work), models_dir=Path(models), heartbeat_seconds=0.3)))
"""
EPOCHS = {"hyperparameters": {"epochs": 40, "checkpoint_every": 5}}


def worker(box: Settings, run: TrainingRun, token: str) -> subprocess.Popen[str]:
    """A trainer's worker as a separate process."""
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, box.url, str(box.work_dir), str(box.models_dir), str(run.uid), token],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": os.getcwd()},
    )


def until(true: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


def checkpoints(run: TrainingRun) -> int:
    return run.events.filter(kind="checkpoint").count()


@pytest.fixture
def quick(settings: Any) -> None:
    settings.FLYWHEEL = settings.FLYWHEEL | {"RUN_LEASE_SECONDS": 3}


def killed(box: Settings, run: TrainingRun, token: str) -> float:
    """Have a worker begin, kill it after its second checkpoint, and let its lease run out. Returns when it was killed."""
    process = worker(box, run, token)
    try:
        until(lambda: checkpoints(run) >= 2)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
    began = time.monotonic()
    until(lambda: bool(services.remote_jobs_sweep()), 20)
    run.refresh_from_db()
    assert (run.status, run.attempts) == ("queued", 1)
    return began


@pytest.mark.usefixtures("quick")
def test_a_killed_workers_run_ends_with_the_same_weights_from_its_checkpoint_and_from_the_beginning(
    admin: User, lead: User, project: Project, messages: Messages, settings_of_worker: Settings, tmp_path: Path
) -> None:
    run = approved(admin, lead, project, **EPOCHS)
    token = messages.token_of(run)
    assert time.monotonic() - killed(settings_of_worker, run, token) < 30
    assert job_run("run", str(run.uid), token, settings_of_worker) == "refused", "the dead worker's token is void"
    other = worker(settings_of_worker, run, messages.token_of(run))
    assert other.communicate(timeout=120)[0].strip() == "done"
    run.refresh_from_db()
    assert (run.status, run.attempts) == ("done", 2)
    assert run.result["resumed_from_step"] >= 10
    seqs = list(run.events.order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, len(seqs) + 1))

    # The same training once more: its worker dies too, and the next one has another disk.
    again = approved(admin, lead, project, **EPOCHS)
    TrainingRun.objects.filter(pk=again.pk).update(snapshot=run.snapshot, recipe=run.recipe)
    again.refresh_from_db()
    again.spec = run.spec | {"run_id": str(again.uid)}
    again.save()
    killed(settings_of_worker, again, messages.token_of(again))
    elsewhere = replace(settings_of_worker, work_dir=tmp_path / "elsewhere")
    assert job_run("run", str(again.uid), messages.token_of(again), elsewhere) == "done"
    again.refresh_from_db()
    assert (again.status, again.result["resumed_from_step"]) == ("done", 0)
    assert again.step == again.total_steps
    assert again.events.filter(kind="done").count() == 1
    assert ModelVersion.objects.get(run=again).status == "candidate"
    assert (again.result["last_loss"], again.result["steps"]) == (run.result["last_loss"], run.result["steps"])
    weights = "model/adapter_model.safetensors"
    assert again.artifacts.get(path=weights).sha256 == run.artifacts.get(path=weights).sha256
    assert budget_now().reserved == 0
    assert ledger_verify().ok


@pytest.mark.usefixtures("quick")
def test_a_run_whose_worker_is_dead_is_cancelled_within_seconds_and_its_trainer_dies_too(
    admin: User, lead: User, project: Project, messages: Messages, settings_of_worker: Settings
) -> None:
    run = approved(admin, lead, project, **EPOCHS)
    process = worker(settings_of_worker, run, messages.token_of(run))
    until(lambda: checkpoints(run) >= 1)
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    services.remote_job_cancel(job=run, by=lead)
    began = time.monotonic()
    until(lambda: bool(services.remote_jobs_sweep()), 20)
    run.refresh_from_db()
    assert run.status == "cancelled"
    assert time.monotonic() - began < 15
    assert budget_now().reserved == 0
    assert LedgerEntry.objects.filter(object=f"run:{run.uid}", action="run.cancelled").count() == 1

    def trainers() -> list[str]:
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    found.append((folder / "cmdline").read_bytes().decode(errors="replace"))
                except OSError:
                    continue
        return [line for line in found if str(settings_of_worker.work_dir) in line and "training" in line]

    until(lambda: not trainers(), 60)
