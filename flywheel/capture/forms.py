"""Forms of capture's pages. The services decide what is allowed."""

from __future__ import annotations

from typing import Any

from django import forms

from flywheel.capture.connectors import CONNECTORS
from flywheel.capture.models import Source
from provenance.domain.vocabulary import PURPOSES

PURPOSE_WORDS = {
    "sft": "Fine-tuning (sft)", "preference": "Preference tuning", "continued_pretraining": "Continued pretraining",
    "evaluation": "Evaluation",
}
PURPOSE_CHOICES = [(purpose, PURPOSE_WORDS.get(purpose, purpose)) for purpose in PURPOSES]


class Lines(forms.CharField):
    """A list of words, one on each line."""

    widget = forms.Textarea(attrs={"rows": 3})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        return [line.strip() for line in str(value or "").splitlines() if line.strip()]


class OptionLines(forms.CharField):
    """Texts by name, one `name = value` on each line."""

    widget = forms.Textarea(attrs={"rows": 2})

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(f"{name} = {text}" for name, text in value.items()) if isinstance(value, dict) else value

    def to_python(self, value: Any) -> Any:
        found = {}
        for line in str(value or "").splitlines():
            name, sign, text = (part.strip() for part in line.partition("="))
            if line.strip() and not (name and sign):
                raise forms.ValidationError(f"{line.strip()[:80]!r} is not an option; write name = value")
            if name:
                found[name] = text
        return found


def options_help() -> str:
    """What each connector's options mean, for the form."""
    meanings = [
        f"{connector.title}: {name} – {meaning}"
        for connector in CONNECTORS.values() for name, meaning in connector.options.items()
    ]
    return " ".join(["One name = value on each line.", *meanings])


class SourceForm(forms.ModelForm):  # type: ignore[type-arg]
    """The terms of a source."""

    purposes = forms.MultipleChoiceField(
        label="Default purposes", choices=PURPOSE_CHOICES, required=False, widget=forms.CheckboxSelectMultiple,
        help_text="What captures may be used for, new ones and those that are here, unless a delivery names its own.",
    )
    prohibited_purposes = forms.MultipleChoiceField(
        label="Prohibited purposes", choices=PURPOSE_CHOICES, required=False, widget=forms.CheckboxSelectMultiple,
        help_text="Never, for new captures and for those that are here.",
    )
    options = OptionLines(label="Options of the connector", required=False, help_text=options_help())
    product_names = Lines(
        label="Names of products and companies", required=False,
        help_text="One on each line. The detector never takes them for people or places.",
    )

    class Meta:
        model = Source
        fields = (
            "name", "kind", "options", "license_spdx", "copyright", "consent_policy", "purposes", "prohibited_purposes",
            "region", "retention_days", "subject_namespace", "product_names", "include_notes", "active",
        )
        labels = {
            "kind": "Connector",
            "license_spdx": "Licence", "region": "Region", "retention_days": "Keep for days",
            "subject_namespace": "Namespace of customers", "include_notes": "Include internal notes",
            "active": "Takes captures",
        }
        help_texts = {
            "kind": "How conversations get here.",
            "name": "Lower-case letters, digits and hyphens. It cannot change, because it names every example.",
            "license_spdx": "SPDX identifier, e.g. CC-BY-4.0. Without a known licence nothing is cleared.",
            "consent_policy": "The ground on which these conversations may be trained on.",
            "region": "Where the data may be kept and processed, e.g. EU.",
            "retention_days": "Counted from the conversation, also for those that are here; empty means no end.",
            "subject_namespace": "Sources that share customers share a namespace; empty uses the source's name.",
            "include_notes": "Internal notes become training text too.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            # The name is part of every example's identity.
            del self.fields["name"]

    def _post_clean(self) -> None:
        """Skip the model's checks: the service makes them, so that pages and API agree."""

    def terms(self) -> dict[str, Any]:
        """Arguments for the service."""
        return {name: value for name, value in self.cleaned_data.items() if name != "name"}
