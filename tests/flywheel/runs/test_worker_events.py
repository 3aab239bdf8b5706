"""What a trainer reports of a run, and how runs end, as the services see them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from annotation.models import Project
from flywheel.audit.ledger import ledger_verify
from flywheel.audit.models import LedgerEntry
from flywheel.core.errors import Conflict, ValidationFailed
from flywheel.core.models import User
from flywheel.runs import services
from flywheel.runs.models import ModelVersion, RunEvent, TrainingRun
from tests.flywheel.runs import builders
from tests.flywheel.runs.builders import Messages, back, budget_now, event
from tests.flywheel.runs.conftest import upload, upload_model

pytestmark = pytest.mark.django_db
Leased = tuple[TrainingRun, str]


# -- events ----------------------------------------------------------------------------------------------------------
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
    with pytest.raises(ValidationFailed):
        services.run_report(run=run, token=token, events=[bad])
    assert RunEvent.objects.count() == 0


# -- the end ---------------------------------------------------------------------------------------------------------
def test_a_complete_run_leaves_a_candidate_its_evaluation_and_a_settled_budget(leased: Leased) -> None:
    run, token = leased
    back(run, heartbeat_at=timezone.now() - timedelta(seconds=30))
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
        with pytest.raises(ValidationFailed, match="not of"):
            services.run_complete(run=run, token=token, result=builders.result_of(run, **wrong))
    with pytest.raises(ValidationFailed):
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


def test_a_run_stopped_at_the_end_of_its_reservation_says_so(leased: Leased) -> None:
    run, token = leased
    TrainingRun.objects.update(seconds=1e6)
    services.job_heartbeat(job=run, token=token)
    told = builders.result_of(run, status="stopped", stop_reason="stopped on request (SIGTERM)", evaluation={})
    ended = services.run_complete(run=run, token=token, result=told)
    assert ended.error == f"budget: the {run.reserved} that were set aside are used up"
    assert LedgerEntry.objects.get(action="run.stopped").payload["stop_reason"] == ended.error


def test_the_next_model_of_a_project_is_of_the_next_generation(
    run: TrainingRun, trained: Callable[..., ModelVersion], lead: User
) -> None:
    trained(run)
    second = trained(builders.requested(lead, of=run.snapshot, where=run.snapshot.project))
    assert (second.generation, second.name) == (2, "support-g2")


def test_a_failure_for_good_settles_and_says_why(leased: Leased) -> None:
    run, token = leased
    failed = services.job_fail(job=run, token=token, error="the base model is not here")
    assert (failed.status, failed.error) == ("failed", "the base model is not here")
    assert budget_now().reserved == 0
    assert services.job_fail(job=run, token=token, error="again").error == "the base model is not here"


def test_a_failure_to_be_tried_again_goes_back_to_the_queue_a_bounded_number_of_times(
    leased: Leased, messages: Messages
) -> None:
    run, token = leased
    for _ in range(4):
        job = services.job_fail(job=run, token=token, error="killed", retry=True)
        assert job.status == "queued"
        token = messages.token_of(job)
        services.job_lease(job=job, token=token, worker="a")
    job = services.job_fail(job=run, token=token, error="killed", retry=True)
    assert job.status == "failed"
    assert "5 attempts in a row ended without a checkpoint" in job.error
    assert budget_now().reserved == 0


def test_a_checkpoint_in_between_starts_the_count_anew(leased: Leased, messages: Messages) -> None:
    run, token = leased
    for seq in range(1, 8):
        services.run_report(run=run, token=token, events=[event(seq, "checkpoint", step=seq)])
        job = services.job_fail(job=run, token=token, error="killed", retry=True)
        assert job.status == "queued"
        token = messages.token_of(job)
        services.job_lease(job=job, token=token, worker="a")


def test_a_worker_that_was_asked_to_stop_is_not_counted_as_a_failure(leased: Leased, messages: Messages) -> None:
    run, token = leased
    for _ in range(7):
        job = services.job_fail(job=run, token=token, error="stopped", retry=True, released=True)
        token = messages.token_of(job)
        services.job_lease(job=job, token=token, worker="a")
    assert job.failures == 0


def test_every_change_stands_in_an_unbroken_ledger(leased: Leased, project: Project) -> None:
    run, token = leased
    upload_model(run, token)
    services.run_complete(run=run, token=token, result=builders.result_of(run))
    actions = list(LedgerEntry.objects.filter(object=f"run:{run.uid}").order_by("seq").values_list("action", flat=True))
    assert actions == ["run.request", "run.approve", "run.dispatch", "run.lease", "run.done"]
    assert ledger_verify().ok
