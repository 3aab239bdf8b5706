"""Many at once: the cap is never passed, one champion exists, one worker holds a run, generations have no doubles."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from annotation.models import Project
from flywheel.audit.ledger import ledger_verify
from flywheel.core.errors import UserError
from flywheel.core.models import User
from flywheel.datasets.models import Snapshot
from flywheel.runs import selectors, services
from flywheel.runs.models import Budget, Evaluation, ModelVersion, SuggestionBatch, TrainingRun
from tests.flywheel.runs import builders
from tests.flywheel.runs.builders import Messages
from tests.flywheel.runs.conftest import upload_model

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def at_once(functions: list[Callable[[], Any]]) -> list[Any]:
    """Run all at the same moment, each on its own connection; results or errors in their order."""
    gate = threading.Barrier(len(functions))
    results: list[Any] = [None] * len(functions)

    def call(index: int, function: Callable[[], Any]) -> None:
        gate.wait()
        try:
            results[index] = function()
        except UserError as error:
            results[index] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=call, args=pair) for pair in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return results


def test_twenty_approvals_at_once_never_pass_the_cap(admin: User, project: Project, snapshot: Snapshot) -> None:
    builders.budget(admin)
    recipe, device = builders.recipe(), builders.device()
    runs = [builders.requested(admin, of=snapshot, recipe=recipe, device=device) for _ in range(20)]
    wanted = runs[0].max_cost
    assert wanted is not None
    builders.budget(admin, cap=str((wanted * 7).quantize(Decimal("0.01")) + Decimal("0.01")))
    results = at_once([lambda run=run: services.run_approve(run=run, by=admin) for run in runs])  # type: ignore[misc]
    approved = [r for r in results if isinstance(r, TrainingRun)]
    budget = Budget.objects.get(month=selectors.month_of())
    assert len(approved) == 7
    assert budget.reserved == wanted * 7 <= budget.cap
    assert sum(isinstance(r, UserError) and "are left" in r.message for r in results) == 13
    assert ledger_verify().ok


def test_one_run_approved_by_many_is_reserved_once(admin: User, project: Project, snapshot: Snapshot) -> None:
    builders.budget(admin)
    run = builders.requested(admin, of=snapshot)
    results = at_once([lambda: services.run_approve(run=run, by=admin)] * 10)
    assert sum(isinstance(r, TrainingRun) for r in results) == 1
    assert Budget.objects.get().reserved == run.max_cost


def test_one_of_many_workers_gets_the_lease(
    admin: User, project: Project, snapshot: Snapshot, messages: Messages
) -> None:
    builders.budget(admin)
    run = services.run_approve(run=builders.requested(admin, of=snapshot), by=admin)
    token = messages.token_of(run)
    results = at_once([
        lambda n=n: services.job_lease(job=run, token=token, worker=f"box/{n}") for n in range(10)  # type: ignore[misc]
    ])
    assert sum(isinstance(r, TrainingRun) for r in results) == 1
    run.refresh_from_db()
    assert run.attempts == 1


def candidates(admin: User, project: Project, snapshot: Snapshot, count: int) -> list[ModelVersion]:
    recipe, device = builders.recipe(), builders.device()
    made = []
    for generation in range(1, count + 1):
        run = builders.requested(admin, of=snapshot, recipe=recipe, device=device)
        Evaluation.objects.create(run=run, split="test", rows=40, tokens=400, base_loss=3, tuned_loss=2)
        made.append(ModelVersion.objects.create(name=f"m{generation}", project=project, generation=generation, run=run))
    return made


def test_of_many_promotions_at_once_one_champion_stands(admin: User, project: Project, snapshot: Snapshot) -> None:
    models = candidates(admin, project, snapshot, 10)
    results = at_once([
        lambda m=m: services.model_promote(model=m, by=admin) for m in models  # type: ignore[misc]
    ])
    assert all(isinstance(r, ModelVersion) for r in results)
    statuses = list(ModelVersion.objects.values_list("status", flat=True))
    assert statuses.count("champion") == 1
    assert statuses.count("retired") == 9
    assert ledger_verify().ok


def test_a_withdrawal_during_a_promotion_leaves_no_champion(admin: User, project: Project, snapshot: Snapshot) -> None:
    for model in candidates(admin, project, snapshot, 6):
        records = list(snapshot.rows.values_list("record_id", flat=True))
        at_once([
            lambda model=model: services.model_promote(model=model, by=admin),  # type: ignore[misc]
            lambda records=records: services.models_withdraw(records),  # type: ignore[misc]
        ])
        services.models_withdraw(records)
        assert not ModelVersion.objects.filter(status="champion").exists()


def test_runs_that_end_at_once_get_generations_of_their_own(
    admin: User, project: Project, snapshot: Snapshot, messages: Messages
) -> None:
    builders.budget(admin)
    recipe, device = builders.recipe(), builders.device()
    runs = []
    for _ in range(6):
        run = services.run_approve(
            run=builders.requested(admin, of=snapshot, recipe=recipe, device=device), by=admin
        )
        token = messages.token_of(run)
        services.job_lease(job=run, token=token, worker="box")
        run.refresh_from_db()
        upload_model(run, token)
        runs.append((run, token))
    at_once([
        lambda r=r, t=t: services.run_complete(run=r, token=t, result=builders.result_of(r))  # type: ignore[misc]
        for r, t in runs
    ])
    assert sorted(ModelVersion.objects.values_list("generation", flat=True)) == [1, 2, 3, 4, 5, 6]
    assert Budget.objects.get().reserved == 0


def test_many_clicks_on_publish_make_one_batch(admin: User, project: Project, snapshot: Snapshot) -> None:
    builders.budget(admin)
    champion = services.model_promote(model=candidates(admin, project, snapshot, 1)[0], by=admin)
    builders.tasks(project, builders.source(admin), 3)
    results = at_once([lambda: services.suggestions_publish(model=champion, by=admin)] * 8)
    assert SuggestionBatch.objects.count() == 1
    assert {r.pk for r in results} == {SuggestionBatch.objects.get().pk}
    assert Budget.objects.get().reserved == SuggestionBatch.objects.get().reserved


def test_a_sweep_in_two_places_queues_a_dead_workers_run_once(
    admin: User, project: Project, snapshot: Snapshot, messages: Messages
) -> None:
    from datetime import timedelta

    from django.utils import timezone

    builders.budget(admin)
    run = services.run_approve(run=builders.requested(admin, of=snapshot), by=admin)
    services.job_lease(job=run, token=messages.token_of(run), worker="box")
    TrainingRun.objects.update(claim_expires_at=timezone.now() - timedelta(seconds=1))
    at_once([services.remote_jobs_sweep] * 6)
    run.refresh_from_db()
    assert (run.status, run.failures) == ("queued", 1)
