"""Set-up, requests with their estimates, and approval, as the services see them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from flywheel.audit.models import LedgerEntry
from flywheel.core.errors import Conflict, Forbidden, ValidationFailed
from flywheel.core.models import User
from flywheel.datasets.models import Snapshot
from flywheel.runs import services
from flywheel.runs.models import Budget, Device, ModelVersion, Recipe, TrainingRun
from flywheel.work.jobs import jobs_drain
from flywheel.work.models import Job
from tests.flywheel.runs import builders
from tests.flywheel.runs.builders import Messages, budget_now
from training.contract import RunSpec

pytestmark = pytest.mark.django_db
Leased = tuple[TrainingRun, str]


# -- set-up ----------------------------------------------------------------------------------------------------------
def test_defaults_are_made_once_and_kept_as_they_were_changed(admin: User) -> None:
    services.defaults_ensure(admin)
    first = Recipe.objects.count()
    assert {r.method for r in Recipe.objects.all()} == {"sft", "continued_pretraining"}
    assert Device.objects.get(default=True).peak_gflops > 1
    Budget.objects.update(cap=Decimal(7))
    services.defaults_ensure(admin)
    assert Recipe.objects.count() == first
    assert budget_now().cap == 7


@pytest.fixture(autouse=True)
def _no_base_model(settings: Any, tmp_path: Any) -> None:
    """Estimates count differently once another test has made the tiny base model in the shared folder."""
    settings.FLYWHEEL = settings.FLYWHEEL | {"MODELS_DIR": str(tmp_path / "models")}


def test_a_recipe_that_the_trainer_would_refuse_is_refused_with_its_words(admin: User) -> None:
    with pytest.raises(ValidationFailed, match=r"hyperparameters.lora_r is 0"):
        services.recipe_create(name="x", base_model="tiny", base_parameters=1, hyperparameters={"lora_r": 0}, by=admin)


def test_only_admins_set_prices_and_budgets(lead: User) -> None:
    with pytest.raises(Forbidden):
        builders.budget(lead)
    with pytest.raises(Forbidden):
        services.device_set(name="gpu", price_per_hour=Decimal(1), peak_gflops=1.0, by=lead)
    with pytest.raises(Forbidden):
        services.provider_set(name="p", price_per_million_tokens=Decimal(1), by=lead)


# -- request ---------------------------------------------------------------------------------------------------------
def test_a_request_keeps_its_estimate_and_specification(run: TrainingRun) -> None:
    spec = RunSpec.from_json(run.spec)
    assert spec.run_id == str(run.uid)
    assert spec.snapshot.merkle_root == run.snapshot.merkle_root
    assert run.estimate["tokens"] == 3000
    assert run.status == "requested"
    assert LedgerEntry.objects.filter(action="run.request").count() == 1


@pytest.mark.parametrize(("fields", "why"), [
    ({"status": "tainted"}, "tainted"), ({"status": "building"}, "building"),
    ({"split_counts": {"train": 0}}, "no train rows"), ({"purpose": "evaluation"}, "cleared for purpose 'evaluation'"),
])
def test_a_snapshot_that_may_not_teach_is_refused(
    fields: dict[str, Any], why: str, snapshot: Snapshot, recipe: Recipe, device: Device, lead: User
) -> None:
    Snapshot.objects.filter(pk=snapshot.pk).update(**fields)
    snapshot.refresh_from_db()
    with pytest.raises(Conflict, match=why):
        services.run_request(snapshot=snapshot, recipe=recipe, device=device, by=lead)


def test_overrides_reach_the_specification_and_unknown_ones_are_named(
    snapshot: Snapshot, recipe: Recipe, device: Device, lead: User
) -> None:
    wanted = {"hyperparameters": {"epochs": 1}, "limits": {"max_steps": 3, "cost_per_hour": 0.0}, "seed": 5}
    run = services.run_request(snapshot=snapshot, recipe=recipe, device=device, by=lead, overrides=wanted)
    assert run.spec["hyperparameters"]["epochs"] == 1
    assert run.spec["limits"]["max_steps"] == 3
    for bad in ({"price": 1}, {"hyperparameters": {"epoch": 1}}, {"hyperparameters": 3}, {"seed": -1}):
        with pytest.raises(ValidationFailed):
            services.run_request(snapshot=snapshot, recipe=recipe, device=device, by=lead, overrides=bad)


def test_annotators_stewards_and_strangers_request_nothing(
    snapshot: Snapshot, recipe: Recipe, device: Device, annotator: User, steward: User, stranger: User
) -> None:
    for person in (annotator, steward, stranger):
        with pytest.raises(Forbidden):
            services.run_request(snapshot=snapshot, recipe=recipe, device=device, by=person)


# -- approval --------------------------------------------------------------------------------------------------------
def test_approval_reserves_and_queues(run: TrainingRun, admin: User, messages: Messages) -> None:
    run = services.run_approve(run=run, by=admin)
    assert run.status == "queued"
    assert budget_now().reserved == run.reserved == run.max_cost
    assert run.spec["limits"]["max_cost"] == float(run.reserved)
    jobs_drain()
    assert messages.sent[0]["job_id"] == str(run.uid)
    run.refresh_from_db()
    assert messages.sent[0]["token"] not in run.claim_sha256


def test_the_token_itself_is_stored_nowhere(queued: Leased) -> None:
    _, token = queued
    assert all(token not in str(row.payload) for row in Job.objects.all())
    assert all(token not in str(row.payload) for row in LedgerEntry.objects.all())


def test_only_an_admin_approves(run: TrainingRun, lead: User, steward: User) -> None:
    for person in (lead, steward):
        with pytest.raises(Forbidden):
            services.run_approve(run=run, by=person)


def test_above_the_threshold_nobody_approves_their_own(admin: User, snapshot: Snapshot) -> None:
    builders.budget(admin, threshold="0.01")
    run = builders.requested(admin, of=snapshot)
    with pytest.raises(Forbidden, match="another admin"):
        services.run_approve(run=run, by=admin)
    assert budget_now().reserved == 0


def test_below_the_threshold_one_may(admin: User, snapshot: Snapshot, messages: Messages) -> None:
    builders.budget(admin)
    assert services.run_approve(run=builders.requested(admin, of=snapshot), by=admin).status == "queued"


def test_a_run_over_the_cap_is_refused_and_nothing_is_reserved(run: TrainingRun, admin: User) -> None:
    builders.budget(admin, cap="0.5")
    with pytest.raises(Conflict, match="are left"):
        services.run_approve(run=run, by=admin)
    assert budget_now().reserved == 0
    run.refresh_from_db()
    assert run.status == "requested"


def test_a_month_without_budget_approves_nothing(run: TrainingRun, admin: User) -> None:
    Budget.objects.all().delete()
    with pytest.raises(Conflict, match="no budget"):
        services.run_approve(run=run, by=admin)


def test_a_snapshot_tainted_after_the_request_is_not_trained_on(run: TrainingRun, admin: User) -> None:
    Snapshot.objects.update(status="tainted")
    with pytest.raises(Conflict, match="tainted"):
        services.run_approve(run=run, by=admin)


def test_approving_twice_reserves_once(run: TrainingRun, admin: User, messages: Messages) -> None:
    services.run_approve(run=run, by=admin)
    with pytest.raises(Conflict, match="only a requested run"):
        services.run_approve(run=run, by=admin)
    run.refresh_from_db()
    assert budget_now().reserved == run.reserved


# -- estimate beside actual ------------------------------------------------------------------------------------------
def test_a_past_run_narrows_the_next_estimate(
    run: TrainingRun, trained: Callable[..., ModelVersion], snapshot: Snapshot, recipe: Recipe, device: Device
) -> None:
    assert services.run_estimate(snapshot=snapshot, recipe=recipe, device=device).estimate.basis == "cold"
    trained(run)
    TrainingRun.objects.update(seconds=15.0)
    found = services.run_estimate(snapshot=snapshot, recipe=recipe, device=device)
    assert found.estimate.basis == "measured"
    assert found.estimate.seconds_low < 15 < found.estimate.seconds_high
    assert found.last_ratio is not None


def test_the_estimate_of_the_same_again_holds_what_it_took(
    run: TrainingRun, trained: Callable[..., ModelVersion], snapshot: Snapshot, recipe: Recipe, device: Device
) -> None:
    counted_on = run.estimate["tokens"]
    trained(run, tokens={"trained": 3 * counted_on}, speed={"real_tokens_per_s": counted_on / 10}, steps=77)
    TrainingRun.objects.update(seconds=42.0)
    found = services.run_estimate(snapshot=snapshot, recipe=recipe, device=device).estimate
    assert found.seconds_low < 42 < found.seconds_high
    assert (found.tokens, found.steps) == (3 * counted_on, 77)


def test_the_estimate_shows_the_managed_price_and_what_is_left(
    snapshot: Snapshot, recipe: Recipe, device: Device, admin: User
) -> None:
    builders.budget(admin, cap="12")
    services.provider_set(name="Managed", price_per_million_tokens=Decimal(1000), by=admin)
    found = services.run_estimate(snapshot=snapshot, recipe=recipe, device=device)
    assert found.managed == (("Managed", Decimal("3"), "EUR"),)
    assert found.budget_left == 12
