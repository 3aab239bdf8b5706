"""The whole control plane with a real trainer: request, approve, lease over HTTP, train, promote, suggest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from decimal import Decimal

import pytest

from annotation.models import Project, Suggestion
from flywheel.core.models import User
from flywheel.runs import services
from flywheel.runs.models import ModelVersion, TrainingRun
from tests.flywheel.runs import builders
from tests.flywheel.runs.builders import Messages
from tests.flywheel.runs.conftest import approved
from training.worker.main import Settings, job_run

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


def test_a_run_is_trained_evaluated_promoted_and_suggests(
    admin: User, lead: User, project: Project, messages: Messages, settings_of_worker: Settings
) -> None:
    waiting = builders.tasks(project, builders.source(lead), 3)
    run = approved(admin, lead, project)
    assert job_run("run", str(run.uid), messages.token_of(run), settings_of_worker) == "done"

    run.refresh_from_db()
    assert (run.status, run.step) == ("done", run.total_steps)
    assert run.events.filter(kind="metric").count() == run.step
    assert run.last_seq == run.events.count()
    assert run.cost > 0
    model = ModelVersion.objects.get(run=run)
    assert run.evaluation.tuned_loss < run.evaluation.base_loss
    assert run.artifacts.filter(path="model/adapter_model.safetensors").exists()
    # Rows of the snapshot do not stay on the box.
    assert list(settings_of_worker.work_dir.iterdir()) == []

    champion = services.model_promote(model=model, by=admin)
    batch = services.suggestions_publish(model=champion, by=admin)
    assert batch is not None
    assert job_run("suggestions", str(batch.uid), messages.token_of(batch), settings_of_worker) == "done"
    batch.refresh_from_db()
    assert (batch.status, batch.total, batch.done) == ("done", 3, 3)
    made = Suggestion.objects.filter(origin="model", origin_name=model.name)
    assert set(made.values_list("example_id", flat=True)) <= {t.example_id for t in waiting}
    assert made.count() > 0


def test_a_running_run_is_cancelled_within_seconds_and_its_trainer_is_gone(
    admin: User, lead: User, project: Project, messages: Messages, settings_of_worker: Settings
) -> None:
    run = approved(admin, lead, project, hyperparameters={"epochs": 1000})
    token = messages.token_of(run)
    ended: list[str] = []
    worker = threading.Thread(
        target=lambda: ended.append(job_run("run", str(run.uid), token, settings_of_worker))
    )
    worker.start()
    try:
        _until(lambda: TrainingRun.objects.get(pk=run.pk).step > 3)
        services.remote_job_cancel(job=run, by=lead)
        began = time.monotonic()
        _until(lambda: TrainingRun.objects.get(pk=run.pk).status == "cancelled")
        assert time.monotonic() - began < 25
    finally:
        worker.join(timeout=30)
    assert ended == ["given up"]
    assert list(settings_of_worker.work_dir.iterdir()) == []


def test_a_run_whose_money_ends_leaves_the_weights_of_its_last_step_as_a_candidate(
    admin: User, lead: User, project: Project, messages: Messages, settings_of_worker: Settings
) -> None:
    run = approved(admin, lead, project, hyperparameters={"epochs": 1000})
    token = messages.token_of(run)
    ended: list[str] = []
    worker = threading.Thread(
        target=lambda: ended.append(job_run("run", str(run.uid), token, settings_of_worker))
    )
    worker.start()
    try:
        _until(lambda: TrainingRun.objects.get(pk=run.pk).step > 3)
        TrainingRun.objects.filter(pk=run.pk).update(reserved=Decimal("0.0001"))
    finally:
        worker.join(timeout=120)
    assert ended == ["stopped"]
    run.refresh_from_db()
    assert run.error == "budget: the 0.0001 that were set aside are used up"
    assert 3 < run.step < run.total_steps
    model = ModelVersion.objects.get(run=run)
    assert (model.status, hasattr(run, "evaluation")) == ("candidate", False)
    assert run.artifacts.filter(path="model/README.md").exists()


def test_a_run_is_taken_up_again_from_its_checkpoint(
    admin: User, lead: User, project: Project, messages: Messages, settings_of_worker: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = approved(admin, lead, project, hyperparameters={"epochs": 4})
    token = messages.token_of(run)
    # A worker that is told to end after the first checkpoint hands the run back.
    monkeypatch.setattr(
        "training.worker.main.worker_stops",
        lambda: TrainingRun.objects.get(pk=run.pk).events.filter(kind="checkpoint").exists(),
    )
    assert job_run("run", str(run.uid), token, settings_of_worker) == "released"
    monkeypatch.undo()
    monkeypatch.setattr("flywheel.runs.services.remote_jobs.current_app.send_task", messages)
    run.refresh_from_db()
    assert (run.status, run.attempts) == ("queued", 1)

    assert job_run("run", str(run.uid), token, settings_of_worker) == "refused"
    assert job_run("run", str(run.uid), messages.token_of(run), settings_of_worker) == "done"
    run.refresh_from_db()
    assert run.attempts == 2
    assert run.result["resumed_from_step"] > 0
    seqs = list(run.events.order_by("seq").values_list("seq", flat=True))
    assert seqs == list(range(1, len(seqs) + 1))


def _until(true: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.2)
