"""What training may cost: the month's budget, prices of devices and managed services, recipes."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from flywheel.core.errors import UserError
from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.core.models import User
from flywheel.core.permissions import allow
from flywheel.runs import domain, selectors, services
from flywheel.runs.forms import BudgetForm, DeviceForm, ProviderForm, RecipeForm
from flywheel.runs.models import Budget, Device, ManagedProvider, Recipe, TrainingRun

FORMS: dict[str, Any] = {"budget": BudgetForm, "device": DeviceForm, "provider": ProviderForm}

DEVICE_IDS, PROVIDER_IDS = "id_device_%s", "id_provider_%s"
IDS = {"budget": "id_%s", "device": DEVICE_IDS, "provider": PROVIDER_IDS}
"""The forms share a page and a field's name, so each has separate ids."""


@permitted("budget.view")
@require_GET
def page(request: AuthenticatedRequest) -> HttpResponse:
    """This month, the months before, and the prices that estimates use."""
    return _page(request, {})


def _page(request: AuthenticatedRequest, filled: dict[str, Any], status: int = 200) -> HttpResponse:
    budget, month = selectors.budget_now(), selectors.month_of()
    known = Device.objects.filter(name=request.GET.get("device", "")).first()
    forms = {
        "budget": BudgetForm(instance=budget), "device": DeviceForm(instance=known, auto_id=DEVICE_IDS),
        "provider": ProviderForm(auto_id=PROVIDER_IDS),
    } | filled
    context = {
        "budget": budget, "month": month, "month_key": f"{month:%Y-%m}",
        "months": list(Budget.objects.order_by("-month")[:12]),
        "left": domain.budget_left(cap=budget.cap, reserved=budget.reserved, spent=budget.spent) if budget else None,
        "devices": Device.objects.order_by("-default", "name"), "providers": ManagedProvider.objects.order_by("name"),
        "forms": forms, "zone": settings.FLYWHEEL["BUDGET_TIME_ZONE"].key,
        "waiting": TrainingRun.objects.filter(status=TrainingRun.Status.REQUESTED).count(),
    }
    return render(request, "runs/budgets.html", context, status=status)


@permitted("budget.set")
@require_POST
def change(request: AuthenticatedRequest, what: str) -> HttpResponse:
    """Set the budget, a device's price or a provider's."""
    form = FORMS[what](request.POST, auto_id=IDS[what])
    if form.is_valid():
        try:
            _set(what, form.cleaned_data, request.user)
        except UserError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, "Saved. Runs that are approved keep the price they were approved at.")
            return redirect("runs:budgets")
    return _page(request, {what: form}, status=422)


def _set(what: str, data: dict[str, Any], by: User) -> None:
    if what == "budget":
        services.budget_set(by=by, **data)
    elif what == "device":
        services.device_set(by=by, **data)
    else:
        services.provider_set(by=by, **data)


@permitted("recipe.view")
@require_GET
def recipes(request: AuthenticatedRequest) -> HttpResponse:
    """Ways to train."""
    context = {
        "recipes": Recipe.objects.order_by("pk"), "may_create": allow("recipe.create", request.user),
        "may_request": allow("run.request", request.user),
    }
    return render(request, "runs/recipes.html", context)


@permitted("recipe.create")
def recipe_new(request: AuthenticatedRequest) -> HttpResponse:
    """A form for another recipe."""
    form = RecipeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            recipe = services.recipe_create(by=request.user, **form.cleaned_data)
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            messages.success(request, f"Recipe '{recipe.name}' can be trained with.")
            return redirect("runs:recipes")
    return render(request, "runs/recipe_new.html", {"form": form}, status=422 if form.errors else 200)
