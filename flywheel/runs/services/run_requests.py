"""Requesting a run: estimate, request, approval."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.utils import timezone

from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.core.errors import Conflict, Forbidden, ValidationFailed
from flywheel.core.models import User
from flywheel.core.permissions import allow, require
from flywheel.datasets.models import Snapshot
from flywheel.datasets.selectors import unusable
from flywheel.runs import domain, selectors
from flywheel.runs.models import Budget, Device, ManagedProvider, Recipe, TrainingRun
from flywheel.runs.services import budget_ledger
from flywheel.runs.services.catalog import EMPTY_ROOT_HEX
from flywheel.work.jobs import job_enqueue
from training.contract import ContractError, RunSpec

OVERRIDES = ("hyperparameters", "evaluation", "limits", "seed")

RESERVE_FACTOR = 2
"""Estimates are ranges of what is likely; twice their upper end is set aside, and the run stops there."""

LEAST_RESERVED_HOURS = Decimal("0.5")


@dataclass(frozen=True, slots=True)
class RunEstimate:
    """An estimate with what it should be compared with. `managed`: (provider, price, currency) each."""

    estimate: domain.Estimate
    reservation: Decimal
    managed: tuple[tuple[str, Decimal, str], ...]
    budget_left: Decimal | None
    budget_currency: str
    last_ratio: float | None
    problems: tuple[str, ...]


def run_estimate(
    *, snapshot: Snapshot, recipe: Recipe, device: Device, overrides: dict[str, Any] | None = None
) -> RunEstimate:
    """What a run would take and cost, and why it could not be requested now.

    Raises ValidationFailed for bad overrides.
    """
    spec = spec_build(snapshot=snapshot, recipe=recipe, run_id="estimate", overrides=overrides or {})
    work = selectors.workload_of(snapshot, recipe, spec)
    estimate = domain.estimate_cost(work, selectors.rate_of(device), selectors.past_runs(recipe, device))
    budget = selectors.budget_now()
    left = None
    if budget is not None:
        left = domain.budget_left(cap=budget.cap, reserved=budget.reserved, spent=budget.spent)
    return RunEstimate(
        estimate=estimate, reservation=_reservation(estimate, spec, device),
        managed=tuple(
            (p.name, domain.managed_price(estimate.tokens, p.price_per_million_tokens), p.currency)
            for p in ManagedProvider.objects.order_by("name")
        ),
        budget_left=left, budget_currency=budget.currency if budget else "", last_ratio=selectors.last_ratio(device),
        problems=tuple(problems_of(snapshot, recipe)),
    )


def problems_of(snapshot: Snapshot, recipe: Recipe) -> list[str]:
    """Why this snapshot may not be trained on with this recipe; empty when it may."""
    wanted = domain.PURPOSE_OF_METHOD[recipe.method]
    problems = []
    if problem := unusable(snapshot):
        problems.append(f"{problem}; freeze a new one and train on that")
    elif snapshot.status != Snapshot.Status.FROZEN:
        problems.append(
            f"snapshot {snapshot.name!r} is {snapshot.get_status_display().lower()}; freeze a new one and train on that"
        )
    if snapshot.purpose != wanted:
        problems.append(
            f"snapshot {snapshot.name!r} was cleared for purpose {snapshot.purpose!r}, recipe {recipe.name!r} needs "
            f"{wanted!r}; freeze a snapshot for that purpose"
        )
    if not int(snapshot.split_counts.get("train", 0)):
        problems.append(f"snapshot {snapshot.name!r} has no train rows; settle and clear more examples, then freeze")
    return problems


def spec_build(*, snapshot: Snapshot, recipe: Recipe, run_id: str, overrides: dict[str, Any]) -> RunSpec:
    """The run's specification, its snapshot's path left to the worker. Raises ValidationFailed naming the field."""
    unknown = sorted(set(overrides) - set(OVERRIDES))
    if unknown:
        raise ValidationFailed(f"overrides has {unknown[0]!r}; known are {', '.join(OVERRIDES)}", field="overrides")
    fields = selectors.spec_fields(recipe)
    for name in ("hyperparameters", "evaluation"):
        more = overrides.get(name) or {}
        if not isinstance(more, dict):
            raise ValidationFailed(f"overrides.{name} is {more!r}; give an object", field="overrides")
        fields[name] = fields[name] | more
    root = snapshot.merkle_root or EMPTY_ROOT_HEX
    try:
        return RunSpec.from_json({
            "run_id": run_id, "snapshot": {"path": "", "merkle_root": root}, "seed": overrides.get("seed", 0),
            "limits": overrides.get("limits") or {}, **fields,
        })
    except ContractError as error:
        raise ValidationFailed(str(error), field="overrides") from error


def run_request(
    *, snapshot: Snapshot, recipe: Recipe, device: Device, by: User, name: str = "",
    overrides: dict[str, Any] | None = None,
) -> TrainingRun:
    """Ask for a run; it waits for an admin's approval. Raises Forbidden, Conflict, ValidationFailed."""
    require("run.request", by, snapshot.project)
    run = TrainingRun(
        kind="run", visible=True, status=TrainingRun.Status.REQUESTED, unit="steps", snapshot=snapshot, recipe=recipe,
        device=device, requested_by=by,
    )
    found = run_estimate(snapshot=snapshot, recipe=recipe, device=device, overrides=overrides)
    if found.problems:
        raise Conflict("; ".join(found.problems))
    spec = spec_build(snapshot=snapshot, recipe=recipe, run_id=str(run.uid), overrides=overrides or {})
    run.name = (name.strip() or f"{snapshot.project.slug} · {recipe.name}")[:200]
    run.title, run.object_ref = f"Train {run.name}", f"run:{run.uid}"
    run.spec, run.estimate, run.max_cost = spec.to_json(), found.estimate.to_json(), found.reservation
    run.estimate["managed"] = [
        {"name": n, "cost": str(cost), "currency": currency} for n, cost, currency in found.managed
    ]
    run.total = found.estimate.steps
    with transaction.atomic():
        _trainable(run)
        run.save(force_insert=True)
        ledger_append(
            actor=by, action=Action.RUN_REQUEST, object=f"run:{run.uid}",
            touched={"run": [run.pk], "snapshot": [snapshot.pk]},
            payload={
                "snapshot": snapshot.merkle_root, "recipe": recipe.name, "device": device.name,
                "cost_high": str(found.estimate.cost_high), "reservation": str(found.reservation),
            },
        )
    return run


def run_approve(*, run: TrainingRun, by: User) -> TrainingRun:
    """Approve a requested run: reserves its cost and queues it.

    Above the budget's threshold never one's own. Raises Forbidden, and Conflict when the budget does not hold it or
    the snapshot may no longer be trained on.
    """
    require("run.approve", by, run)
    with transaction.atomic():
        run = _locked(run)
        if run.status != TrainingRun.Status.REQUESTED:
            raise Conflict(f"run {run.name!r} is {run.get_status_display().lower()}; only a requested run is approved")
        _trainable(run)
        budget = budget_ledger.budget_locked(run.device)
        amount = run.max_cost or Decimal(0)
        if refusal := _second_person_refusal(run, by, budget):
            raise Forbidden(refusal)
        budget_ledger.reserve(run, budget, amount)
        run.spec["limits"] |= {"max_cost": float(amount), "cost_per_hour": float(run.device.price_per_hour)}
        if not run.device.price_per_hour:
            # The trainer refuses a limit on a cost that it cannot count.
            run.spec["limits"]["max_cost"] = None
        run.approved_by, run.approved_at = by, timezone.now()
        job_enqueue(run)
        run.save()
        ledger_append(
            actor=by, action=Action.RUN_APPROVE, object=f"run:{run.uid}",
            touched={"run": [run.pk]},
            payload={
                "reserved": str(run.reserved), "currency": budget.currency, "budget": f"{budget.month:%Y-%m}",
            },
        )
    return run


def approval_refusal(*, run: TrainingRun, by: User) -> str:
    """Why this admin may not approve a requested run that another may; "" when they may, or when no admin asks."""
    budget = selectors.budget_now()
    if run.status != TrainingRun.Status.REQUESTED or budget is None or not allow("run.approve", by, run):
        return ""
    return _second_person_refusal(run, by, budget)


def _second_person_refusal(run: TrainingRun, by: User, budget: Budget) -> str:
    return domain.second_person_refusal(
        high=run.max_cost or Decimal(0), threshold=budget.second_person_above, requester=run.requested_by_id,
        approver=by.pk, currency=budget.currency,
    )


def _trainable(run: TrainingRun) -> None:
    """Raises Conflict unless the run's snapshot may be trained on, and keeps that so until commit.

    Locked like a withdrawal locks it: either its taint is seen here, or the walk, which looks for runs once more after
    it has tainted, finds this one.
    """
    snapshot = Snapshot.objects.select_for_update().get(pk=run.snapshot_id)
    if problems := problems_of(snapshot, run.recipe):
        raise Conflict("; ".join(problems))


def _locked(run: TrainingRun) -> TrainingRun:
    locked = TrainingRun.objects.select_for_update(of=("self", "job")).select_related("snapshot", "recipe", "device")
    return locked.get(pk=run.pk)


def _reservation(estimate: domain.Estimate, spec: RunSpec, device: Device) -> Decimal:
    """What approval sets aside: the requester's own limit, else twice the high estimate, half an hour at least.

    Raises ValidationFailed for an amount that cannot be counted.
    """
    if spec.limits.max_cost is not None:
        amount = Decimal(str(spec.limits.max_cost))
    else:
        amount = max(RESERVE_FACTOR * estimate.cost_high, device.price_per_hour * LEAST_RESERVED_HOURS)
    if amount > domain.MOST_MONEY:
        raise ValidationFailed(
            f"the run may cost up to {amount:.3g} {device.currency}, more than can be counted; set limits.max_cost to "
            f"at most {domain.MOST_MONEY:,}", field="overrides",
        )
    return domain.reservation_of(amount)
