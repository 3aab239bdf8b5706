"""What training may cost: the month's budget, prices of devices and managed services, recipes."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from flywheel.core.access import ADMIN, LEAD, STEWARD, has_role, role_required
from flywheel.core.errors import UserError
from flywheel.runs import access, domain, selectors, services
from flywheel.runs.forms import BudgetForm, DeviceForm, ProviderForm, RecipeForm
from flywheel.runs.models import Budget, Device, ManagedProvider, Recipe, TrainingRun
from flywheel.runs.views.runs import person

FORMS: dict[str, Any] = {"budget": BudgetForm, "device": DeviceForm, "provider": ProviderForm}

DEVICE_IDS, PROVIDER_IDS = "id_device_%s", "id_provider_%s"
IDS = {"budget": "id_%s", "device": DEVICE_IDS, "provider": PROVIDER_IDS}
"""The forms stand on one page and share a field's name, so each has ids of its own."""


@role_required(ADMIN)
@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """This month, the months before, and the prices that estimates stand on."""
    return _page(request, {})


def _page(request: HttpRequest, filled: dict[str, Any], status: int = 200) -> HttpResponse:
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


@role_required(ADMIN)
@require_POST
def change(request: HttpRequest, what: str) -> HttpResponse:
    """Set the budget, a device's price or a provider's."""
    form = FORMS[what](request.POST, auto_id=IDS[what])
    if form.is_valid():
        try:
            _set(what, form.cleaned_data, person(request))
        except UserError as error:
            form.add_error(None, error.message)
        else:
            messages.success(request, "Saved. Runs that are approved keep the price they were approved at.")
            return redirect("runs:budgets")
    return _page(request, {what: form}, status=422)


def _set(what: str, data: dict[str, Any], by: Any) -> None:
    if what == "budget":
        services.budget_set(by=by, **data)
    elif what == "device":
        services.device_set(by=by, **data)
    else:
        services.provider_set(by=by, **data)


@role_required(LEAD, STEWARD, ADMIN)
@require_GET
def recipes(request: HttpRequest) -> HttpResponse:
    """Ways to train."""
    context = {
        "recipes": Recipe.objects.order_by("pk"), "may_create": has_role(request.user, ADMIN),
        "may_request": has_role(request.user, *access.REQUESTERS),
    }
    return render(request, "runs/recipes.html", context)


@role_required(ADMIN)
def recipe_new(request: HttpRequest) -> HttpResponse:
    """A form for another recipe."""
    form = RecipeForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            recipe = services.recipe_create(by=person(request), **form.cleaned_data)
        except UserError as error:
            form.add_error(error.field if error.field in form.fields else None, error.message)
        else:
            messages.success(request, f"Recipe '{recipe.name}' can be trained with.")
            return redirect("runs:recipes")
    return render(request, "runs/recipe_new.html", {"form": form}, status=422 if form.errors else 200)
