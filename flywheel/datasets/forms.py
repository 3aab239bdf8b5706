"""The form that asks for a snapshot. It checks shape; the service decides."""

from __future__ import annotations

from typing import Any

from django import forms

from annotation.models import Project
from provenance.domain.vocabulary import PURPOSE_NAMES, PURPOSES
from provenance.settings import judged_regions
from training.contract.snapshot import MAX_SHARE


class SnapshotForm(forms.Form):
    """What to freeze, for what, where, and how to split it."""

    project = forms.ModelChoiceField(Project.objects.none(), to_field_name="slug", empty_label=None)
    name = forms.CharField(max_length=200)
    purpose = forms.ChoiceField(choices=[(p, PURPOSE_NAMES[p]) for p in PURPOSES])
    region = forms.CharField(max_length=40, help_text="Where it will be stored and used: EU, or a country's code.")
    validation = forms.FloatField(
        min_value=0, max_value=MAX_SHARE, initial=0.1, label="Share of validation", help_text="0.1 is a tenth."
    )
    test = forms.FloatField(min_value=0, max_value=MAX_SHARE, initial=0.1, label="Share of test",
                            help_text="Models are compared on it and never trained on it.")
    seed = forms.IntegerField(min_value=0, max_value=2**32 - 1, initial=0,
                              help_text="The same seed on the same state gives the same snapshot.")
    system_prompt = forms.CharField(
        required=False, max_length=8000, widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Comes before every conversation, in training and later in use.",
    )
    non_commercial = forms.BooleanField(
        required=False, label="For non-commercial use only", help_text="Lets data under NC licences in."
    )

    def __init__(self, *args: Any, projects: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["project"].queryset = projects  # type: ignore[attr-defined]
        self.fields["region"].initial = judged_regions()[0]

    def request_fields(self) -> dict[str, Any]:
        """The service's arguments."""
        data = dict(self.cleaned_data)
        shares = {"validation": data.pop("validation"), "test": data.pop("test")}
        commercial = not data.pop("non_commercial")
        return data | {"shares": shares, "commercial": commercial}
