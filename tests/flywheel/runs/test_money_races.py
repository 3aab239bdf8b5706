"""Everything that moves money, at once and at random, on PostgreSQL: the budget's two sums always follow its jobs."""

from __future__ import annotations

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum

from annotation.models import Project
from flywheel.audit.ledger import ledger_verify
from flywheel.core.errors import UserError
from flywheel.core.models import User
from flywheel.datasets.models import Snapshot
from flywheel.datasets.services import snapshots_withdraw
from flywheel.runs import services
from flywheel.runs.models import Budget, SuggestionBatch, TrainingRun
from tests.flywheel.runs import builders
from tests.flywheel.runs.builders import Messages
from tests.flywheel.runs.conftest import upload_model
from tests.flywheel.runs.test_concurrency import at_once

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def sums(model: Any) -> tuple[Decimal, Decimal]:
    found = model.objects.filter(budget__isnull=False).aggregate(reserved=Sum("reserved"), cost=Sum("cost"))
    ended = model.objects.filter(budget__isnull=False, finished_at__isnull=False).aggregate(cost=Sum("cost"))
    return found["reserved"] or Decimal(0), ended["cost"] or Decimal(0)


def balanced() -> None:
    budget = Budget.objects.get()
    run, batch = sums(TrainingRun), sums(SuggestionBatch)
    assert budget.reserved == run[0] + batch[0]
    assert budget.spent == run[1] + batch[1]
    assert budget.reserved >= 0
    assert budget.reserved + budget.spent <= budget.cap


@pytest.mark.parametrize("seed", range(3))
def test_the_budget_follows_its_jobs_whatever_happens_at_once(
    seed: int, admin: User, project: Project, snapshot: Snapshot, messages: Messages
) -> None:
    builders.budget(admin, cap="100000", threshold="99999")
    recipe, device = builders.recipe(), builders.device()
    runs = [builders.requested(admin, of=snapshot, recipe=recipe, device=device) for _ in range(8)]
    tokens: dict[int, str] = {}
    dice = random.Random(seed)

    def acts(run: TrainingRun) -> list[Callable[[], Any]]:
        fresh = TrainingRun.objects.get(pk=run.pk)
        token = tokens.get(run.pk, "none")
        return [
            lambda: services.run_approve(run=fresh, by=admin),
            lambda: services.remote_job_cancel(job=fresh, by=admin),
            lambda: services.job_lease(job=fresh, token=token, worker=f"box/{dice.random()}"),
            lambda: services.job_heartbeat(job=fresh, token=token),
            lambda: services.run_report(run=fresh, token=token, events=[builders.event(dice.randint(1, 50))]),
            lambda: services.job_fail(job=fresh, token=token, error="x", retry=dice.random() < 0.7),
            lambda: services.run_complete(run=fresh, token=token, result=builders.result_of(fresh, evaluation={})),
            services.remote_jobs_sweep,
        ]

    for _ in range(12):
        chosen = [act for run in dice.sample(runs, 4) for act in dice.sample(acts(run), 2)]
        for outcome in at_once(chosen):
            assert outcome is None or isinstance(outcome, (int, dict, TrainingRun, UserError)), outcome
        for run in runs:
            run.refresh_from_db()
            if run.status == "queued":
                tokens[run.pk] = messages.token_of(run)
        balanced()
    for run in runs:
        if run.status not in ("done", "stopped", "cancelled", "failed"):
            services.remote_job_cancel(job=run, by=admin)
            TrainingRun.objects.filter(pk=run.pk, status="cancelling").update(claim_expires_at=run.created_at)
    services.remote_jobs_sweep()
    assert Budget.objects.get().reserved == 0
    balanced()
    assert ledger_verify().ok


def test_an_approval_and_a_lowered_cap_at_once_never_pass_the_cap(
    admin: User, project: Project, snapshot: Snapshot
) -> None:
    recipe, device = builders.recipe(), builders.device()
    builders.budget(admin, cap="1000")
    for _ in range(8):
        run = builders.requested(admin, of=snapshot, recipe=recipe, device=device)
        builders.budget(admin, cap="1000")
        before = Budget.objects.get().reserved
        approved, _ = at_once([
            lambda run=run: services.run_approve(run=run, by=admin),  # type: ignore[misc]
            lambda before=before: builders.budget(admin, cap=str(before)),  # type: ignore[misc]
        ])
        budget = Budget.objects.get()
        assert budget.reserved == before + (run.max_cost or 0) * isinstance(approved, TrainingRun)


def test_a_withdrawal_and_an_approval_at_once_leave_no_run_on_withdrawn_rows(
    admin: User, project: Project, messages: Messages
) -> None:
    builders.budget(admin)
    recipe, device = builders.recipe(), builders.device()
    for _ in range(8):
        made = builders.snapshot(project, admin, [builders.example(builders.source(admin))])
        run = builders.requested(admin, of=made, recipe=recipe, device=device)
        record = made.rows.get().record_id

        def walk(record: int = record) -> None:
            services.runs_withdraw([record])
            snapshots_withdraw([record])
            services.runs_withdraw([record])

        at_once([
            lambda run=run: services.run_approve(run=run, by=admin), walk,  # type: ignore[misc]
            lambda made=made: builders.requested(admin, of=made, recipe=recipe, device=device),  # type: ignore[misc]
        ])
        left = TrainingRun.objects.filter(snapshot=made).exclude(status__in=["cancelled"])
        assert list(left.values_list("status", flat=True)) == []
    assert Budget.objects.get().reserved == 0


def test_a_result_and_a_cancel_at_once_end_in_one_of_both(
    admin: User, project: Project, snapshot: Snapshot, messages: Messages
) -> None:
    builders.budget(admin)
    recipe, device = builders.recipe(), builders.device()
    for _ in range(6):
        run = services.run_approve(
            run=builders.requested(admin, of=snapshot, recipe=recipe, device=device), by=admin
        )
        token = messages.token_of(run)
        services.job_lease(job=run, token=token, worker="box")
        run.refresh_from_db()
        upload_model(run, token)
        at_once([
            lambda run=run, token=token: services.run_complete(  # type: ignore[misc]
                run=run, token=token, result=builders.result_of(run)
            ),
            lambda run=run: services.remote_job_cancel(job=run, by=admin),  # type: ignore[misc]
        ])
        run.refresh_from_db()
        assert run.status in ("done", "cancelled")
        assert hasattr(run, "model") is (run.status == "done")
    balanced()
    assert ledger_verify().ok
