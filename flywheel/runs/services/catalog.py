"""What training needs before the first run: recipes, priced devices, managed prices, the month's budget."""

from __future__ import annotations

import time
from datetime import date
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.core.actors import SYSTEM
from flywheel.core.errors import Conflict, ValidationFailed
from flywheel.core.models import User
from flywheel.core.permissions import require
from flywheel.runs import domain, selectors
from flywheel.runs.models import Budget, Device, ManagedProvider, Recipe
from training.contract import ContractError, RunSpec

CPU = "this machine's CPU"
EMPTY_ROOT_HEX = "0" * 64

SMOLLM2 = {
    "base_model": "smollm2-135m-instruct", "base_parameters": 134_515_008, "base_layers": 30, "base_width": 576,
}
TINY = {"base_model": "tiny", "base_parameters": 164_160, "base_layers": 2, "base_width": 64}
TINY_STEPS = {"batch_size": 1, "max_length": 512, "warmup_ratio": 0.05, "checkpoint_every": 20}

DEFAULT_RECIPES: tuple[dict[str, Any], ...] = (
    {
        "name": "SmolLM2 135M · LoRA", "tuning": "lora", **SMOLLM2,
        "description": "The instruct model of 135 million weights with adapters on all linear layers. About a quarter "
                       "of an hour for 200 tickets on two CPU cores.",
        "hyperparameters": {"epochs": 2.0, "learning_rate": 5e-4, "batch_size": 2, "max_length": 512,
                            "checkpoint_every": 10},
        "evaluation": {"split": "test", "max_rows": 100, "generate_rows": 4, "max_new_tokens": 96},
    },
    {
        "name": "Tiny two-layer model · LoRA", "tuning": "lora", **TINY,
        "description": "Made on the spot and knows nothing: shows that the whole path works, in a minute.",
        "hyperparameters": {**TINY_STEPS, "epochs": 6.0, "learning_rate": 1e-2},
        "evaluation": {"split": "test", "max_rows": 100, "generate_rows": 2, "max_new_tokens": 96},
    },
    {
        "name": "Tiny two-layer model · full", "tuning": "full", **TINY,
        "description": "All weights of the tiny model: learns the most in the least time.",
        "hyperparameters": {**TINY_STEPS, "epochs": 6.0, "learning_rate": 3e-3},
        "evaluation": {"split": "test", "max_rows": 100, "generate_rows": 2, "max_new_tokens": 96},
    },
    {
        "name": "SmolLM2 135M · continued pretraining", "tuning": "full", "method": "continued_pretraining", **SMOLLM2,
        "description": "All weights on the plain text of whole conversations. Needs a snapshot cleared for continued "
                       "pretraining.",
        "hyperparameters": {"epochs": 1.0, "learning_rate": 2e-5, "batch_size": 2, "max_length": 512,
                            "checkpoint_every": 10},
        "evaluation": {"split": "test", "max_rows": 100, "generate_rows": 0, "max_new_tokens": 1},
    },
)


def recipe_create(
    *, name: str, base_model: str, by: User, method: str = "sft", tuning: str = "lora", base_revision: str = "",
    base_parameters: int = 0, base_layers: int = 0, base_width: int = 0,
    hyperparameters: dict[str, Any] | None = None, evaluation: dict[str, Any] | None = None, description: str = "",
) -> Recipe:
    """Make a recipe.

    Raises Forbidden, Conflict for a taken name, ValidationFailed for what the trainer would refuse.
    """
    require("recipe.create", by)
    recipe = Recipe(
        name=name.strip(), base_model=base_model, method=method, tuning=tuning, base_revision=base_revision,
        base_parameters=base_parameters, base_layers=base_layers, base_width=base_width,
        hyperparameters=hyperparameters or {}, evaluation=evaluation or {}, description=description,
    )
    if not recipe.name:
        raise ValidationFailed("a recipe needs a name", field="name")
    if base_parameters <= 0:
        raise ValidationFailed("base_parameters is needed for the estimate: how many weights the base model has",
                      field="base_parameters")
    recipe_check(recipe)
    with transaction.atomic():
        if Recipe.objects.filter(name=recipe.name).exists():
            raise Conflict(f"there is a recipe {recipe.name!r} already; choose another name", field="name")
        recipe.save(force_insert=True)
        ledger_append(
            actor=by, action=Action.RECIPE_CREATE, object=f"recipe:{recipe.pk}",
            touched={"recipe": [recipe.pk]},
            payload={
                "name": recipe.name, **selectors.spec_fields(recipe),
            },
        )
    return recipe


def recipe_check(recipe: Recipe) -> RunSpec:
    """The recipe as the trainer would read it. Raises ValidationFailed in the contract's words."""
    try:
        return RunSpec.from_json({
            "run_id": "check", "snapshot": {"path": "", "merkle_root": EMPTY_ROOT_HEX}, **selectors.spec_fields(recipe),
        })
    except ContractError as error:
        raise ValidationFailed(f"recipe {recipe.name!r}: {error}") from error


def device_set(
    *, name: str, price_per_hour: Decimal, peak_gflops: float, by: User, currency: str = "", mfu_low: float = 0.30,
    mfu_high: float = 0.50, step_seconds: float = 0.05, load_seconds: float = 30.0, default: bool = False,
    priced_on: date | None = None,
) -> Device:
    """Price a device, new or known; runs that were approved keep the price they were approved at."""
    require("budget.set", by)
    if price_per_hour < 0 or peak_gflops <= 0 or not 0 < mfu_low <= mfu_high <= 1:
        raise ValidationFailed(
            f"device {name!r}: give a price of at least 0, a peak above 0 and shares with 0 < low ≤ high ≤ 1 "
            f"(got {price_per_hour}, {peak_gflops:g}, {mfu_low:g} to {mfu_high:g})"
        )
    facts = {
        "price_per_hour": price_per_hour, "currency": currency or settings.FLYWHEEL["CURRENCY"],
        "peak_gflops": peak_gflops, "mfu_low": mfu_low, "mfu_high": mfu_high, "step_seconds": step_seconds,
        "load_seconds": load_seconds, "default": default, "priced_on": priced_on or timezone.now().date(),
    }
    with transaction.atomic():
        device, _ = Device.objects.update_or_create(name=name, defaults=facts)
        if default:
            Device.objects.exclude(pk=device.pk).update(default=False)
        ledger_append(
            actor=by, action=Action.DEVICE_PRICE, object=f"device:{device.pk}",
            touched={"device": [device.pk]},
            payload={"name": name} | {
                k: str(v) if isinstance(v, (Decimal, date)) else v for k, v in facts.items()
            },
        )
    return device


def provider_set(*, name: str, price_per_million_tokens: Decimal, by: User, currency: str = "") -> ManagedProvider:
    """What a managed service asks per million trained tokens, for comparison."""
    require("budget.set", by)
    if price_per_million_tokens < 0:
        raise ValidationFailed(f"the price of {name!r} is {price_per_million_tokens}; give at least 0")
    with transaction.atomic():
        provider, _ = ManagedProvider.objects.update_or_create(name=name, defaults={
            "price_per_million_tokens": price_per_million_tokens, "priced_on": timezone.now().date(),
            "currency": currency or settings.FLYWHEEL["CURRENCY"],
        })
        ledger_append(
            actor=by, action=Action.PROVIDER_PRICE, object=f"provider:{provider.pk}",
            touched={"provider": [provider.pk]},
            payload={
                "name": name, "price_per_million_tokens": str(price_per_million_tokens),
            },
        )
    return provider


def budget_set(
    *, cap: Decimal, second_person_above: Decimal, by: User, month: date | None = None, currency: str = "",
) -> Budget:
    """Set a month's cap and threshold. What is reserved and spent stays; a cap below it refuses new runs only.

    Later months take it over. Without `currency` it is the installation's, or the one that money of this month is
    already counted in. Raises Conflict for another currency than that.
    """
    require("budget.set", by)
    for name, amount in (("cap", cap), ("second_person_above", second_person_above)):
        if not amount.is_finite() or not 0 <= amount <= domain.MOST_MONEY:
            raise ValidationFailed(
                f"{name} is {amount:.3g}; give an amount from 0 to {domain.MOST_MONEY:,}", field=name
            )
    first = selectors.month_of(month)
    with transaction.atomic():
        held = Budget.objects.select_for_update().filter(month=first).first()
        counted = held.currency if held is not None and held.committed else ""
        if counted and currency and currency != counted:
            raise Conflict(f"money of {first:%B %Y} is counted in {counted} already; set the next month in {currency}")
        budget, _ = Budget.objects.update_or_create(month=first, defaults={
            "cap": cap, "second_person_above": second_person_above, "carried_from": None,
            "currency": currency or counted or settings.FLYWHEEL["CURRENCY"],
        })
        ledger_append(
            actor=by, action=Action.BUDGET_SET, object=f"budget:{budget.month:%Y-%m}",
            touched={"budget": [budget.pk]},
            payload={
                "cap": str(cap), "second_person_above": str(second_person_above), "currency": budget.currency,
            },
        )
    return budget


def defaults_ensure(by: User) -> None:
    """Recipes, this machine's CPU, a managed price and this month's budget, each only where it is missing."""
    for fields in DEFAULT_RECIPES:
        if not Recipe.objects.filter(name=fields["name"]).exists():
            recipe_create(by=by, **fields)
    if not Device.objects.filter(name=CPU).exists():
        device_set(
            name=CPU, price_per_hour=Decimal("0.05"), peak_gflops=round(cpu_gflops(), 1), mfu_low=0.15, mfu_high=0.60,
            step_seconds=0.1, load_seconds=25, default=True, by=by,
        )
    if not ManagedProvider.objects.exists():
        provider_set(name="Managed fine-tuning", price_per_million_tokens=Decimal("3.00"), by=by)
    if budget_carry() is None:
        budget_set(cap=Decimal("25.00"), second_person_above=Decimal("5.00"), by=by)


def budget_carry() -> Budget | None:
    """This month's budget; where it is missing, with cap, threshold and currency of the newest month before.

    What was left over is not carried. Changes nothing in a month that has a budget, and returns None when no month
    before has one. May run at the same time in many places.
    """
    month = selectors.month_of()
    with transaction.atomic():
        last = Budget.objects.filter(month__lt=month).order_by("-month").first()
        if last is None or Budget.objects.filter(month=month).exists():
            return Budget.objects.filter(month=month).first()
        budget, made = Budget.objects.get_or_create(month=month, defaults={
            "cap": last.cap, "second_person_above": last.second_person_above, "currency": last.currency,
            "carried_from": last.month,
        })
        if made:
            ledger_append(
                actor=SYSTEM, action=Action.BUDGET_CARRY, object=f"budget:{month:%Y-%m}",
                touched={"budget": [budget.pk]},
                payload={
                    "from": f"{last.month:%Y-%m}", "cap": str(last.cap), "currency": last.currency,
                    "second_person_above": str(last.second_person_above),
                },
            )
    return budget


def cpu_gflops(size: int = 1024, repeats: int = 8) -> float:
    """The rate of a float32 matrix product on this machine right now, in GFLOP/s; takes about a tenth of a second."""
    import numpy

    left = numpy.ones((size, size), dtype=numpy.float32)
    best = float("inf")
    for _ in range(repeats):
        started = time.perf_counter()
        left @ left
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best / 1e9
