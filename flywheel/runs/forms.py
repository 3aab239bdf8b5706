"""What people fill in on the pages of runs. Checking what it means is the services' work."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms

from flywheel.datasets.models import Snapshot
from flywheel.runs import access
from flywheel.runs.models import Budget, Device, ManagedProvider, Recipe
from provenance.domain.vocabulary import PURPOSE_NAMES


class SnapshotField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """Snapshots with their purpose and size."""

    def label_from_instance(self, obj: Any) -> str:
        purpose, rows = PURPOSE_NAMES.get(obj.purpose, obj.purpose), obj.split_counts.get("train", 0)
        return f"{obj.name} · {obj.project.name} · {purpose}, {rows:,} train rows"


class DeviceField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """Devices with their price."""

    def label_from_instance(self, obj: Any) -> str:
        return f"{obj.name} · {obj.price_per_hour.normalize():f} {obj.currency} an hour"


class RunForm(forms.Form):
    """A request: what to train on, how, where, and what to change of the recipe."""

    snapshot = SnapshotField(queryset=Snapshot.objects.none(), empty_label=None, to_field_name="uid")
    recipe = forms.ModelChoiceField(queryset=Recipe.objects.order_by("pk"), empty_label=None)
    device = DeviceField(queryset=Device.objects.order_by("-default", "name"), empty_label=None)
    name = forms.CharField(max_length=200, required=False, help_text="Project and recipe when left empty.")
    epochs = forms.FloatField(
        required=False, min_value=0.001, max_value=1000, help_text="The recipe's when left empty."
    )
    max_steps = forms.IntegerField(required=False, min_value=1, label="At most so many steps")
    max_cost = forms.DecimalField(
        required=False, min_value=Decimal("0.0001"), decimal_places=4, label="Cap on the cost",
        help_text="Stops at a checkpoint there. Twice the high estimate when left empty.",
    )
    seed = forms.IntegerField(required=False, min_value=0, max_value=2**32 - 1, initial=0)

    def __init__(self, *args: Any, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["snapshot"].queryset = access.snapshots_of(user)  # type: ignore[attr-defined]

    def overrides(self) -> dict[str, Any]:
        """The changes as `run_request` takes them."""
        data = self.cleaned_data
        limits = {"max_steps": data["max_steps"]} if data["max_steps"] else {}
        if data["max_cost"]:
            limits["max_cost"] = float(data["max_cost"])
        return {
            "hyperparameters": {"epochs": data["epochs"]} if data["epochs"] else {}, "limits": limits,
            "seed": data["seed"] or 0,
        }


class RecipeForm(forms.ModelForm):  # type: ignore[type-arg]
    """A new recipe."""

    hyperparameters = forms.JSONField(
        required=False, initial=dict, help_text="JSON; what is left out keeps the trainer's default."
    )
    evaluation = forms.JSONField(
        required=False, initial=dict, help_text="JSON: split, max_rows, generate_rows, max_new_tokens."
    )

    class Meta:
        model = Recipe
        fields = (
            "name", "description", "method", "tuning", "base_model", "base_revision", "base_parameters", "base_layers",
            "base_width", "hyperparameters", "evaluation",
        )
        widgets = {
            "method": forms.Select(choices=[("sft", "Supervised fine-tuning"),
                                            ("continued_pretraining", "Continued pretraining on plain text")]),
            "tuning": forms.Select(choices=[("lora", "LoRA adapters"), ("full", "All weights")]),
        }
        help_texts = {
            "base_model": "Name of a folder in the worker's models folder.",
            "base_revision": "Digest over its files; empty takes the one that is there.",
            "base_parameters": "How many weights it has; the estimate needs it.",
            "base_layers": "For the attention's share of the estimate.",
            "base_width": "Size of its hidden states.",
        }


class BudgetForm(forms.ModelForm):  # type: ignore[type-arg]
    """This month's cap and threshold."""

    class Meta:
        model = Budget
        fields = ("cap", "second_person_above")
        labels = {"cap": "Cap for the month", "second_person_above": "A second person approves above"}
        help_texts = {
            "cap": "Nothing is approved beyond it; lowering it stops no run.",
            "second_person_above": "A run that may cost more is never approved by who requested it.",
        }


class DeviceForm(forms.ModelForm):  # type: ignore[type-arg]
    """A device's price and speed."""

    class Meta:
        model = Device
        fields = (
            "name", "price_per_hour", "peak_gflops", "mfu_low", "mfu_high", "step_seconds", "load_seconds", "default",
        )
        labels = {
            "price_per_hour": "Price of an hour", "peak_gflops": "Peak rate, GFLOP/s", "mfu_low": "Share of it, low",
            "mfu_high": "Share of it, high", "step_seconds": "Extra seconds per step",
            "load_seconds": "Seconds to start", "default": "Offered first",
        }

    def validate_unique(self) -> None:
        """A known name is priced anew."""


class ProviderForm(forms.ModelForm):  # type: ignore[type-arg]
    """What a managed service asks."""

    class Meta:
        model = ManagedProvider
        fields = ("name", "price_per_million_tokens")
        labels = {"price_per_million_tokens": "Price of a million trained tokens"}

    def validate_unique(self) -> None:
        """A known name is priced anew."""
