"""Requests, approval, leases, reports and their ends, as the services see them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from annotation.models import Project
from flywheel.core.errors import Conflict, Invalid, Refused
from flywheel.core.models import OutboxMessage, User
from flywheel.core.outbox import outbox_drain
from flywheel.curation.models import Snapshot
from flywheel.runs import selectors, services
from flywheel.runs.models import Budget, Device, ModelVersion, Recipe, RunEvent, TrainingRun
from flywheel.runs.services.leases import LeaseLost, TokenRefused
from provenance.ledger import ledger_verify
from provenance.models import LedgerEntry
from tests.flywheel.runs import builders
from tests.flywheel.runs.builders import Messages
from tests.flywheel.runs.conftest import upload, upload_model
from training.contract import RunSpec

pytestmark = pytest.mark.django_db
Leased = tuple[TrainingRun, str]


def budget_now() -> Budget:
    return Budget.objects.get(month=selectors.month_of())


def back(run: TrainingRun, **fields: Any) -> None:
    TrainingRun.objects.filter(pk=run.pk).update(**fields)
    run.refresh_from_db()


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


def test_a_recipe_that_the_trainer_would_refuse_is_refused_with_its_words(admin: User) -> None:
    with pytest.raises(Invalid, match=r"hyperparameters.lora_r is 0"):
        services.recipe_create(name="x", base_model="tiny", base_parameters=1, hyperparameters={"lora_r": 0}, by=admin)


def test_only_admins_set_prices_and_budgets(lead: User) -> None:
    with pytest.raises(Refused):
        builders.budget(lead)
    with pytest.raises(Refused):
        services.device_set(name="gpu", price_per_hour=Decimal(1), peak_gflops=1.0, by=lead)
    with pytest.raises(Refused):
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
        with pytest.raises(Invalid):
            services.run_request(snapshot=snapshot, recipe=recipe, device=device, by=lead, overrides=bad)


def test_annotators_stewards_and_strangers_request_nothing(
    snapshot: Snapshot, recipe: Recipe, device: Device, annotator: User, steward: User, stranger: User
) -> None:
    for person in (annotator, steward, stranger):
        with pytest.raises(Refused):
            services.run_request(snapshot=snapshot, recipe=recipe, device=device, by=person)


# -- approval --------------------------------------------------------------------------------------------------------
def test_approval_reserves_and_queues(run: TrainingRun, admin: User, messages: Messages) -> None:
    run = services.run_approve(run=run, by=admin)
    assert run.status == "queued"
    assert budget_now().reserved == run.reserved == run.max_cost
    assert run.spec["limits"]["max_cost"] == float(run.reserved)
    outbox_drain()
    assert messages.sent[0]["job_id"] == str(run.uid)
    run.refresh_from_db()
    assert messages.sent[0]["token"] not in run.token_sha256


def test_the_token_itself_is_stored_nowhere(queued: Leased) -> None:
    _, token = queued
    assert all(token not in str(row.payload) for row in OutboxMessage.objects.all())
    assert all(token not in str(row.payload) for row in LedgerEntry.objects.all())


def test_only_an_admin_approves(run: TrainingRun, lead: User, steward: User) -> None:
    for person in (lead, steward):
        with pytest.raises(Refused):
            services.run_approve(run=run, by=person)


def test_above_the_threshold_nobody_approves_their_own(admin: User, snapshot: Snapshot) -> None:
    builders.budget(admin, threshold="0.01")
    run = builders.requested(admin, of=snapshot)
    with pytest.raises(Refused, match="another admin"):
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


# -- leases ----------------------------------------------------------------------------------------------------------
def test_a_lease_is_given_once_and_repeated_to_the_same_worker_only(queued: Leased) -> None:
    run, token = queued
    first = services.run_lease(run=run, token=token, worker="a")
    assert (first.status, first.attempt) == ("running", 1)
    assert services.run_lease(run=run, token=token, worker="a").attempt == 1
    with pytest.raises(LeaseLost):
        services.run_lease(run=run, token=token, worker="b")


def test_sending_the_message_again_voids_the_token_before(queued: Leased, messages: Messages) -> None:
    run, old = queued
    assert services.run_dispatch(kind="run", job_id=run.pk)
    with pytest.raises(TokenRefused):
        services.run_lease(run=run, token=old, worker="a")
    services.run_lease(run=run, token=messages.sent[-1]["token"], worker="a")
    assert not services.run_dispatch(kind="run", job_id=run.pk)


def test_a_heartbeat_renews_and_meters(leased: Leased) -> None:
    run, token = leased
    back(run, metered_at=timezone.now() - timedelta(seconds=10))
    assert services.run_heartbeat(run=run, token=token) == {"cancel": False, "reason": "", "lease_seconds": 45}
    run.refresh_from_db()
    assert run.seconds == pytest.approx(10, abs=1)
    assert run.cost == pytest.approx(Decimal("0.01"), abs=Decimal("0.002"))


def test_a_gap_is_metered_as_one_lease_at_most(leased: Leased) -> None:
    run, token = leased
    back(run, metered_at=timezone.now() - timedelta(hours=9))
    services.run_heartbeat(run=run, token=token)
    run.refresh_from_db()
    assert run.seconds == 45


def test_a_run_that_used_up_its_reservation_is_told_to_stop(leased: Leased) -> None:
    run, token = leased
    back(run, seconds=10_000_000.0)
    answer = services.run_heartbeat(run=run, token=token)
    assert answer["cancel"]
    assert answer["reason"].startswith("budget")


def test_a_lease_that_ran_out_is_renewed_while_nobody_else_took_the_run(leased: Leased) -> None:
    run, token = leased
    back(run, lease_expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(LeaseLost, match="renew"):
        services.run_report(run=run, token=token, events=[])
    services.run_heartbeat(run=run, token=token)
    services.run_report(run=run, token=token, events=[])


# -- events ----------------------------------------------------------------------------------------------------------
def event(seq: int, kind: str = "metric", **data: Any) -> dict[str, Any]:
    return {"seq": seq, "at": timezone.now().isoformat(), "kind": kind, "data": data}


def test_events_told_twice_are_stored_once(leased: Leased) -> None:
    run, token = leased
    events = [event(1, "estimate", total_steps=20), event(2, step=1, loss=3.0), event(3, step=2, loss=2.5)]
    assert services.run_report(run=run, token=token, events=events) == 3
    assert services.run_report(run=run, token=token, events=[*events[1:], event(4, step=3, loss=2.0)]) == 4
    run.refresh_from_db()
    assert (run.step, run.total_steps, RunEvent.objects.count()) == (3, 20, 4)


@pytest.mark.parametrize("bad", [
    {"seq": 0, "at": "2026-01-01T00:00:00+00:00", "kind": "metric", "data": {}},
    {"seq": 1, "at": "yesterday", "kind": "metric", "data": {}},
    {"seq": 1, "at": "2026-99-01T00:00:00+00:00", "kind": "metric", "data": {}},
    {"seq": 1, "at": "2026-01-01T00:00:00+00:00", "kind": "party", "data": {}}, {"seq": 1}, "x",
])
def test_events_of_another_shape_are_refused(bad: Any, leased: Leased) -> None:
    run, token = leased
    with pytest.raises(Invalid):
        services.run_report(run=run, token=token, events=[bad])
    assert RunEvent.objects.count() == 0


# -- the end ---------------------------------------------------------------------------------------------------------
def test_a_complete_run_leaves_a_candidate_its_evaluation_and_a_settled_budget(leased: Leased) -> None:
    run, token = leased
    back(run, metered_at=timezone.now() - timedelta(seconds=30))
    upload_model(run, token)
    done = services.run_complete(run=run, token=token, result=builders.result_of(run))
    assert done.status == "done"
    model = ModelVersion.objects.get(run=run)
    assert (model.name, model.generation, model.status) == ("support-g1", 1, "candidate")
    assert run.evaluation.tuned_loss == 2.0
    budget = budget_now()
    assert (budget.reserved, budget.spent) == (Decimal(0), done.cost)
    assert done.cost > 0


def test_completing_twice_is_the_same_as_once(leased: Leased) -> None:
    run, token = leased
    upload_model(run, token)
    services.run_complete(run=run, token=token, result=builders.result_of(run))
    spent, entries = budget_now().spent, LedgerEntry.objects.count()
    assert services.run_complete(run=run, token=token, result=builders.result_of(run)).status == "done"
    assert (budget_now().spent, LedgerEntry.objects.count()) == (spent, entries)
    assert ModelVersion.objects.count() == 1


def test_a_result_of_another_run_or_snapshot_is_refused(leased: Leased) -> None:
    run, token = leased
    for wrong in ({"run_id": "other"}, {"snapshot_root": "0" * 64}):
        with pytest.raises(Invalid, match="not of"):
            services.run_complete(run=run, token=token, result=builders.result_of(run, **wrong))
    with pytest.raises(Invalid):
        services.run_complete(run=run, token=token, result={"run_id": 5})


def test_a_model_whose_files_are_not_all_there_is_no_model(leased: Leased) -> None:
    run, token = leased
    upload_model(run, token)
    upload(run, token, "model/adapter_model.safetensors", b"other weights")
    with pytest.raises(Conflict, match="differs from the manifest"):
        services.run_complete(run=run, token=token, result=builders.result_of(run))
    assert ModelVersion.objects.count() == 0


def test_a_stopped_run_without_model_leaves_none(leased: Leased) -> None:
    run, token = leased
    told = builders.result_of(run, status="stopped", stop_reason="max_cost", evaluation={})
    assert services.run_complete(run=run, token=token, result=told).status == "stopped"
    assert ModelVersion.objects.count() == 0
    assert budget_now().reserved == 0


def test_the_next_model_of_a_project_is_of_the_next_generation(
    run: TrainingRun, trained: Callable[..., ModelVersion], lead: User
) -> None:
    trained(run)
    second = trained(builders.requested(lead, of=run.snapshot, where=run.snapshot.project))
    assert (second.generation, second.name) == (2, "support-g2")


def test_a_failure_for_good_settles_and_says_why(leased: Leased) -> None:
    run, token = leased
    failed = services.run_fail(run=run, token=token, error="the base model is not here")
    assert (failed.status, failed.error) == ("failed", "the base model is not here")
    assert budget_now().reserved == 0
    assert services.run_fail(run=run, token=token, error="again").error == "the base model is not here"


def test_a_failure_to_be_tried_again_goes_back_to_the_queue_a_bounded_number_of_times(
    leased: Leased, messages: Messages
) -> None:
    run, token = leased
    for _ in range(4):
        job = services.run_fail(run=run, token=token, error="killed", retry=True)
        assert job.status == "queued"
        token = messages.token_of(job)
        services.run_lease(run=job, token=token, worker="a")
    job = services.run_fail(run=run, token=token, error="killed", retry=True)
    assert job.status == "failed"
    assert "5 attempts in a row ended without a checkpoint" in job.error
    assert budget_now().reserved == 0


def test_a_checkpoint_in_between_starts_the_count_anew(leased: Leased, messages: Messages) -> None:
    run, token = leased
    for seq in range(1, 8):
        services.run_report(run=run, token=token, events=[event(seq, "checkpoint", step=seq)])
        job = services.run_fail(run=run, token=token, error="killed", retry=True)
        assert job.status == "queued"
        token = messages.token_of(job)
        services.run_lease(run=job, token=token, worker="a")


def test_a_worker_that_was_asked_to_stop_is_not_counted_as_a_failure(leased: Leased, messages: Messages) -> None:
    run, token = leased
    for _ in range(7):
        job = services.run_fail(run=run, token=token, error="stopped", retry=True, released=True)
        token = messages.token_of(job)
        services.run_lease(run=job, token=token, worker="a")
    assert job.failures == 0


# -- cancel and sweep ------------------------------------------------------------------------------------------------
def test_a_queued_run_is_cancelled_at_once(queued: Leased, admin: User) -> None:
    run, token = queued
    assert services.run_cancel(run=run, by=admin).status == "cancelled"
    assert budget_now().reserved == 0
    with pytest.raises(LeaseLost):
        services.run_lease(run=run, token=token, worker="a")


def test_a_running_run_is_cancelled_through_the_heartbeat(leased: Leased, lead: User) -> None:
    run, token = leased
    assert services.run_cancel(run=run, by=lead).status == "cancelling"
    assert services.run_heartbeat(run=run, token=token)["cancel"]
    assert services.run_fail(run=run, token=token, error="cancelled").status == "cancelled"
    assert budget_now().reserved == 0


def test_a_result_that_comes_after_the_cancel_makes_no_model(leased: Leased, lead: User) -> None:
    run, token = leased
    upload_model(run, token)
    services.run_cancel(run=run, by=lead)
    assert services.run_complete(run=run, token=token, result=builders.result_of(run)).status == "cancelled"
    assert ModelVersion.objects.count() == 0


def test_others_cancel_nothing(leased: Leased, annotator: User, steward: User, stranger: User) -> None:
    for person in (annotator, steward, stranger):
        with pytest.raises(Refused):
            services.run_cancel(run=leased[0], by=person)


def test_an_ended_run_cannot_be_cancelled(queued: Leased, admin: User) -> None:
    services.run_cancel(run=queued[0], by=admin)
    with pytest.raises(Conflict, match="already ended"):
        services.run_cancel(run=queued[0], by=admin)


def test_the_run_of_a_dead_worker_is_queued_again_with_a_new_token(leased: Leased, messages: Messages) -> None:
    run, token = leased
    assert services.runs_sweep() == 0
    back(run, lease_expires_at=timezone.now() - timedelta(seconds=1))
    assert services.runs_sweep() == 1
    run.refresh_from_db()
    assert run.status == "queued"
    assert "no sign of life" in run.error
    with pytest.raises(TokenRefused):
        services.run_heartbeat(run=run, token=token)
    fresh = messages.token_of(run)
    with pytest.raises(TokenRefused):
        services.run_report(run=run, token=token, events=[])
    assert services.run_lease(run=run, token=fresh, worker="b").attempt == 2


def test_a_cancelled_run_whose_worker_is_gone_ends_all_the_same(leased: Leased, admin: User) -> None:
    run, _ = leased
    services.run_cancel(run=run, by=admin)
    back(run, lease_expires_at=timezone.now() - timedelta(seconds=1))
    services.runs_sweep()
    run.refresh_from_db()
    assert run.status == "cancelled"


def test_a_worker_that_does_not_stop_loses_its_token(leased: Leased, admin: User) -> None:
    run, token = leased
    services.run_cancel(run=run, by=admin)
    back(run, cancel_requested_at=timezone.now() - timedelta(seconds=31))
    services.runs_sweep()
    run.refresh_from_db()
    assert run.status == "cancelled"
    with pytest.raises(LeaseLost):
        services.run_heartbeat(run=run, token=token)


def test_a_message_that_seems_lost_is_sent_again(queued: Leased, messages: Messages) -> None:
    run, _ = queued
    assert services.runs_sweep() == 0
    back(run, dispatched_at=timezone.now() - timedelta(seconds=61))
    assert services.runs_sweep() == 1
    outbox_drain()
    assert len(messages.sent) == 2


def test_nothing_is_sent_again_while_a_trainer_is_busy(
    leased: Leased, messages: Messages, lead: User, admin: User
) -> None:
    other = services.run_approve(run=builders.requested(lead, of=leased[0].snapshot), by=admin)
    outbox_drain()
    back(other, dispatched_at=timezone.now() - timedelta(hours=1))
    assert services.runs_sweep() == 0


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


def test_the_estimate_shows_the_managed_price_and_what_is_left(
    snapshot: Snapshot, recipe: Recipe, device: Device, admin: User
) -> None:
    builders.budget(admin, cap="12")
    services.provider_set(name="Managed", price_per_million_tokens=Decimal(1000), by=admin)
    found = services.run_estimate(snapshot=snapshot, recipe=recipe, device=device)
    assert found.managed == (("Managed", Decimal("3"), "EUR"),)
    assert found.budget_left == 12


def test_every_change_stands_in_an_unbroken_ledger(leased: Leased, project: Project) -> None:
    run, token = leased
    upload_model(run, token)
    services.run_complete(run=run, token=token, result=builders.result_of(run))
    actions = list(LedgerEntry.objects.filter(object=f"run:{run.uid}").order_by("seq").values_list("action", flat=True))
    assert actions == ["run.request", "run.approve", "run.dispatch", "run.lease", "run.done"]
    assert ledger_verify().ok
