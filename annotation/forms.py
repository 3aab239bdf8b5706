"""Forms of the projects' pages. The services validate; forms only carry values."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth import get_user_model

from annotation.controls import CONTROLS
from annotation.label_config import DEFAULT, DEFAULT_GUIDELINES
from annotation.models import Membership
from flywheel.capture.models import Source


class SourcesField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    """Sources by key; a number too large for a key is refused here, because the database would fail on it."""

    def clean(self, value: Any) -> Any:
        for key in value or ():
            if len(str(key)) > 18:
                raise forms.ValidationError(self.error_messages["invalid_pk_value"], code="invalid_pk_value",
                                            params={"pk": f"{str(key)[:20]}…"})
        return super().clean(value)


class ProjectForm(forms.Form):
    """A project's settings."""

    name = forms.CharField(max_length=200)
    slug = forms.SlugField(
        max_length=100, required=False, label="Address",
        help_text="Part of the address; made from the name when left empty. It cannot be changed later.",
    )
    sources = SourcesField(
        Source.objects.order_by("name"), required=False, widget=forms.CheckboxSelectMultiple,
        help_text="Examples captured from these become tasks.",
    )
    overlap = forms.IntegerField(
        min_value=1, max_value=20, initial=1, label="People per task",
        help_text="How many people answer each task. A change holds for tasks made from then on.",
    )
    lease_minutes = forms.IntegerField(
        min_value=1, max_value=24 * 60, initial=15, label="Lease in minutes",
        help_text="How long a task is kept for a person who does nothing. Typing renews it.",
    )
    guidelines = forms.CharField(
        required=False, widget=forms.Textarea(attrs={"rows": 18, "spellcheck": "true"}), initial=DEFAULT_GUIDELINES,
        help_text="In Markdown; annotators fold them in beside the task.",
    )
    label_config = forms.CharField(
        strip=False, widget=forms.Textarea(attrs={"rows": 18, "spellcheck": "false", "class": "code-input"}),
        initial=DEFAULT, label="Label configuration",
        help_text=f"Label Studio's XML with View, Header, Text, Paragraphs, {', '.join(sorted(CONTROLS))}.",
    )

    def __init__(self, *args: Any, new: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not new:
            del self.fields["slug"]

    def values(self) -> dict[str, Any]:
        """As the services take them."""
        data = dict(self.cleaned_data)
        data["lease_seconds"] = data.pop("lease_minutes") * 60
        return data


class MemberForm(forms.Form):
    """Add a person to a project."""

    username = forms.CharField(max_length=150, label="User name", widget=forms.TextInput(attrs={"list": "people"}))
    role = forms.ChoiceField(choices=Membership.Role.choices)

    def clean_username(self) -> Any:
        """The person of this name."""
        name = self.cleaned_data["username"]
        user = get_user_model().objects.filter(username=name, is_active=True).first()
        if user is None:
            raise forms.ValidationError(f"No account is called '{name}'; an admin makes accounts on the People page.")
        return user
