"""A project, a snapshot, a recipe, a budget, and runs as far as each test needs them."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage

from annotation.models import Membership, Project
from flywheel.core.models import User
from flywheel.datasets.models import Snapshot
from flywheel.runs import services
from flywheel.runs.models import Device, ModelVersion, Recipe, SuggestionBatch, TrainingRun
from tests.flywheel.runs import builders
from tests.flywheel.runs.builders import Messages
from training.worker.client import Settings


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> Messages:
    """Catches what is sent to the trainers."""
    sent = Messages()
    monkeypatch.setattr("flywheel.runs.services.remote_jobs.current_app.send_task", sent)
    return sent


@pytest.fixture
def project(lead: User) -> Project:
    made = builders.project()
    Membership.objects.create(project=made, user=lead, role=Membership.Role.LEAD)
    return made


@pytest.fixture
def snapshot(project: Project, lead: User) -> Snapshot:
    examples = [builders.example(builders.source(lead)) for _ in range(3)]
    return builders.snapshot(project, lead, examples)


@pytest.fixture
def recipe(db: None) -> Recipe:
    return builders.recipe()


@pytest.fixture
def device(db: None) -> Device:
    return builders.device()


@pytest.fixture
def run(project: Project, snapshot: Snapshot, recipe: Recipe, device: Device, lead: User, admin: User) -> TrainingRun:
    """Requested by the lead; this month's budget is set."""
    builders.budget(admin)
    return services.run_request(snapshot=snapshot, recipe=recipe, device=device, by=lead)


@pytest.fixture
def queued(run: TrainingRun, admin: User, messages: Messages) -> tuple[TrainingRun, str]:
    """Approved and sent; with its token."""
    approved = services.run_approve(run=run, by=admin)
    return approved, messages.token_of(approved)


@pytest.fixture
def leased(queued: tuple[TrainingRun, str]) -> tuple[TrainingRun, str]:
    """Under a lease; with its token."""
    run, token = queued
    job = services.job_lease(job=run, token=token, worker="box/1/a")
    assert isinstance(job, TrainingRun)
    return job, token


def upload(run: Any, token: str, path: str, content: bytes) -> None:
    services.artifact_store(job=run, token=token, path=path, stream=io.BytesIO(content),
                            sha256=hashlib.sha256(content).hexdigest(), size=len(content))


def upload_model(run: TrainingRun, token: str) -> None:
    files = {"model/adapter_model.safetensors": b"weights", "model/adapter_config.json": b"{}", "result.json": b"{}"}
    stated = {n: {"sha256": hashlib.sha256(c).hexdigest(), "bytes": len(c)} for n, c in files.items()}
    for path, content in files.items():
        upload(run, token, path, content)
    upload(run, token, "manifest.json", json.dumps({"files": stated}).encode())


@pytest.fixture
def trained(admin: User, messages: Messages) -> Callable[..., ModelVersion]:
    """Take a requested run to its end: `trained(run, evaluation={…})` gives the candidate."""

    def finish(run: TrainingRun, **result: Any) -> ModelVersion:
        approved = services.run_approve(run=run, by=admin)
        token = messages.token_of(approved)
        services.job_lease(job=approved, token=token, worker="box")
        approved.refresh_from_db()
        upload_model(approved, token)
        services.run_complete(run=approved, token=token, result=builders.result_of(approved, **result))
        return ModelVersion.objects.get(run=approved)

    return finish


@pytest.fixture
def model(run: TrainingRun, trained: Callable[..., ModelVersion]) -> ModelVersion:
    """A candidate that beats its base."""
    return trained(run)


@pytest.fixture
def champion(model: ModelVersion, admin: User) -> ModelVersion:
    """The model in use."""
    return services.model_promote(model=model, by=admin)


def answer(batch: SuggestionBatch, messages: Messages, text: str = "On its way.") -> SuggestionBatch:
    """What a worker does with a batch."""
    token = messages.token_of(batch)
    services.job_lease(job=batch, token=token, worker="a")
    batch.refresh_from_db()
    with default_storage.open(batch.prompts_path) as file:
        lines = [json.loads(line) for line in file]
    body = "".join(json.dumps({"id": p["id"], "text": text}) + "\n" for p in lines)
    upload(batch, token, "suggestions.jsonl", body.encode())
    return services.suggestions_complete(batch=batch, token=token)


# -- real trainers ---------------------------------------------------------------------------------------------------
@pytest.fixture(scope="session")
def models_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny base model."""
    from training.base_models import base_model_make

    folder = tmp_path_factory.mktemp("base-models")
    base_model_make("tiny", folder / "tiny")
    return folder


@pytest.fixture
def settings_of_worker(live_server: Any, tmp_path: Path, models_dir: Path) -> Settings:
    """A trainer's box that talks to the live server."""
    return Settings(url=live_server.url, work_dir=tmp_path / "work", models_dir=models_dir, heartbeat_seconds=0.5)


def approved(admin: User, lead: User, project: Project, **overrides: Any) -> TrainingRun:
    """A run that waits for a trainer."""
    builders.budget(admin)
    run = builders.requested(lead, where=project, overrides=overrides)
    return services.run_approve(run=run, by=admin)
