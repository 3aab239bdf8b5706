"""Full tuning and continued pretraining, from settled tasks to suggestions, through pages and REST with a real trainer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from annotation.models import Suggestion, Task
from flywheel.audit.ledger import ledger_verify
from flywheel.core.models import User
from flywheel.datasets.models import Snapshot
from flywheel.runs import services
from flywheel.runs.models import Device, ModelVersion, Recipe, SuggestionBatch, TrainingRun
from flywheel.work.jobs import jobs_drain
from tests.flywheel.datasets.conftest import House, folder_of, house
from tests.flywheel.runs import builders
from tests.flywheel.runs.builders import Messages
from training.contract.snapshot.reader import snapshot_verify
from training.worker.main import Settings, job_run

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
__all__ = ["folder_of", "house"]

TINY = {"base_model": "tiny", "base_parameters": 164_160, "base_layers": 2, "base_width": 64}
ONE_EPOCH = {"epochs": 3.0, "learning_rate": 0.003, "batch_size": 1, "max_length": 256, "checkpoint_every": 50}
MEASURE = {"split": "test", "max_rows": 20, "generate_rows": 1, "max_new_tokens": 16}


@pytest.fixture
def desk(house: House, admin: User, lead: User, client_of: Callable[[User], Client]) -> dict[str, Client]:
    """Forty settled tickets of a project, a budget, and the browsers of its lead and of an admin."""
    house.settle(40)
    builders.budget(admin)
    Device.objects.create(name="cpu", price_per_hour="0.05", peak_gflops=100, priced_on="2026-01-01", default=True)
    return {"lead": client_of(lead), "admin": client_of(admin)}


def frozen(client: Client, house: House, purpose: str) -> Snapshot:
    """Ask for a snapshot on its page and have it built."""
    answer = client.post("/snapshots/new/", {
        "project": house.project.slug, "name": f"For {purpose}", "purpose": purpose, "region": "EU", "validation": "0.1",
        "test": "0.2", "seed": "3", "system_prompt": "",
    })
    assert answer.status_code == 302, answer.content.decode()[-2000:]
    jobs_drain()
    made = Snapshot.objects.get(purpose=purpose)
    assert made.status == "frozen", made.error
    return made


def recipe(client: Client, method: str, tuning: str) -> Recipe:
    """Make a recipe on its page."""
    name = f"tiny {method} {tuning}"
    answer = client.post("/recipes/new/", {
        "name": name, "description": "", "method": method, "tuning": tuning, **TINY, "base_revision": "",
        "hyperparameters": json.dumps(ONE_EPOCH), "evaluation": json.dumps(MEASURE),
    })
    assert answer.status_code == 302, answer.content.decode()[-2000:]
    return Recipe.objects.get(name=name)


def trained(run: TrainingRun, messages: Messages, box: Settings) -> ModelVersion:
    assert job_run("run", str(run.uid), messages.token_of(run), box) == "done"
    run.refresh_from_db()
    assert (run.status, run.step) == ("done", run.total_steps)
    return ModelVersion.objects.get(run=run)


def suggested(client: Client, model: ModelVersion, messages: Messages, box: Settings) -> int:
    """Promote on the model's page with suggestions, and have them made."""
    answer = client.post(f"/models/{model.name}/promote/", {"publish": "1", "override_reason": ""})
    assert answer.status_code == 302
    model.refresh_from_db()
    assert model.status == "champion"
    batch = SuggestionBatch.objects.get(model=model)
    assert job_run("suggestions", str(batch.uid), messages.token_of(batch), box) == "done"
    return Suggestion.objects.filter(origin="model", origin_name=model.name).count()


def test_full_tuning_from_the_pages_to_suggestions(
    desk: dict[str, Client], house: House, messages: Messages, settings_of_worker: Settings, tmp_path: Path
) -> None:
    snapshot = frozen(desk["lead"], house, "sft")
    chosen = {"snapshot": str(snapshot.uid), "recipe": recipe(desk["admin"], "sft", "full").pk,
              "device": Device.objects.get().pk, "name": "Full", "seed": "0"}
    estimate = desk["lead"].get("/runs/estimate/", chosen).content.decode()
    assert "Set aside on approval" in estimate or "set aside" in estimate.lower()
    answer = desk["lead"].post("/runs/new/", chosen)
    assert answer.status_code == 302, answer.content.decode()[-2000:]
    run = TrainingRun.objects.get()
    assert run.spec["tuning"] == "full"
    assert desk["lead"].post(f"/runs/{run.uid}/approve/").status_code == 403
    desk["admin"].post(f"/runs/{run.uid}/approve/")
    model = trained(run, messages, settings_of_worker)
    names = set(run.artifacts.values_list("path", flat=True))
    assert "model/model.safetensors" in names
    assert not any("adapter" in name or name.endswith((".bin", ".pt", ".pth")) for name in names)
    assert run.evaluation.tuned_loss < run.evaluation.base_loss
    assert run.estimate["seconds_low"] <= run.estimate["seconds_high"]
    page = desk["lead"].get(f"/runs/{run.uid}/").content.decode()
    for words in ("sft, full", "Estimate beside actual", "Base model", model.name):
        assert words in page
    Task.objects.filter(example__external_id__in=["t-0", "t-1"]).update(
        state="open", submitted_count=0, settled_annotation=None
    )
    assert suggested(desk["admin"], model, messages, settings_of_worker) > 0
    assert list(settings_of_worker.work_dir.iterdir()) == []
    assert ledger_verify().ok


def test_continued_pretraining_over_rest_to_suggestions(
    desk: dict[str, Client], house: House, messages: Messages, settings_of_worker: Settings, api_of: Any, lead: User,
    admin: User, folder_of: Callable[[Snapshot], Path],
) -> None:
    asks, approves = api_of(lead), api_of(admin)
    made = asks.post("/api/v1/snapshots/", {
        "project": house.project.slug, "name": "Texts", "purpose": "continued_pretraining", "region": "EU", "seed": 3,
        "shares": {"validation": 0.1, "test": 0.2},
    }, format="json")
    assert made.status_code == 201, made.content
    jobs_drain()
    told = asks.get(f"/api/v1/snapshots/{made.json()['uid']}/").json()
    assert (told["status"], told["row_count"]) == ("frozen", 40)
    snapshot = Snapshot.objects.get(uid=told["uid"])
    assert snapshot_verify(folder_of(snapshot), told["merkle_root"]).problems == []
    chosen = {"snapshot": told["uid"], "recipe": recipe(desk["admin"], "continued_pretraining", "full").name}
    wrong = asks.post("/api/v1/runs/", chosen | {"recipe": recipe(desk["admin"], "sft", "lora").name}, format="json")
    assert wrong.status_code == 422
    assert "cleared for purpose" in wrong.json()["error"]["message"]
    estimate = asks.post("/api/v1/runs/estimate/", chosen, format="json").json()
    assert estimate["seconds_low"] <= estimate["seconds_high"]
    asked = asks.post("/api/v1/runs/", chosen, format="json")
    assert asked.status_code == 201, asked.content
    uid = asked.json()["uid"]
    assert asks.post(f"/api/v1/runs/{uid}/approve/", format="json").status_code == 403
    assert approves.post(f"/api/v1/runs/{uid}/approve/", format="json").json()["status"] == "queued"
    run = TrainingRun.objects.get(uid=uid)
    model = trained(run, messages, settings_of_worker)
    told = asks.get(f"/api/v1/runs/{uid}/").json()
    assert told["model"] == model.name
    # Every token of the text carries loss, not only what an assistant said.
    assert told["result"]["tokens"]["supervised"] > 0.9 * told["result"]["tokens"]["kept"]
    assert run.evaluation.tuned_loss < run.evaluation.base_loss
    events = asks.get(f"/api/v1/runs/{uid}/events/").json()
    assert [event["seq"] for event in events["events"]] == list(range(1, events["last_seq"] + 1))
    assert asks.get(f"/api/v1/models/{model.name}/").json()["rule"]["passes"] is True
    Task.objects.filter(example__external_id="t-0").update(state="open", submitted_count=0, settled_annotation=None)
    assert suggested(desk["admin"], model, messages, settings_of_worker) in (0, 1)
    assert SuggestionBatch.objects.get().status == "done"


def test_a_model_of_a_snapshot_without_test_rows_is_made_and_held_back(
    house: House, admin: User, lead: User, messages: Messages, settings_of_worker: Settings, client_of: Any
) -> None:
    house.settle(12, customers=1)
    snapshot = house.freeze()
    assert snapshot.split_counts == {"train": 12, "validation": 0, "test": 0}
    builders.budget(admin)
    run = services.run_approve(run=builders.requested(lead, where=house.project, of=snapshot), by=admin)
    model = trained(run, messages, settings_of_worker)
    page = client_of(admin).get(f"/models/{model.name}/").content.decode()
    assert "not evaluated" in page or "nothing to compare" in page
    assert "Promote over the rule" in page
