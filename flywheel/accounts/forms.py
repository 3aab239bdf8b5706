"""Forms of the home pages: they read and show; the services decide."""

from __future__ import annotations

from typing import Any

from django import forms

from annotation.models import Membership, Project
from flywheel.accounts.scopes import SCOPES
from flywheel.accounts.services import EXPIRY_DAYS
from flywheel.core.access import ROLES

ROLE_WORDS = {
    "annotator": "Annotator: corrects replies",
    "reviewer": "Reviewer: accepts, fixes or rejects answers",
    "lead": "Lead: projects, backlog, quality",
    "steward": "Steward: consent, clearance, withdrawals",
    "admin": "Admin: people, sources, training, budget",
}


class PersonForm(forms.Form):
    """Display name and roles."""

    display_name = forms.CharField(
        label="Name", max_length=120, required=False, help_text="As others see it; the user name when empty.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    roles = forms.MultipleChoiceField(
        choices=[(role, ROLE_WORDS[role]) for role in ROLES], required=False, widget=forms.CheckboxSelectMultiple
    )


class NewPersonForm(PersonForm):
    """A person to be created."""

    username = forms.CharField(
        label="User name", max_length=150, help_text="Letters, digits and @ . + - _ ; it cannot be changed.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    field_order = ("username", "display_name", "roles")


class MembershipForm(forms.Form):
    """A project and what the person is in it."""

    project = forms.ModelChoiceField(queryset=Project.objects.none(), empty_label="Choose a project")
    role = forms.ChoiceField(choices=Membership.Role.choices)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        projects = self.fields["project"]
        assert isinstance(projects, forms.ModelChoiceField)
        # Archived projects are left out, because a new member would find no work there.
        projects.queryset = Project.objects.filter(archived_at=None).order_by("name")


class TokenForm(forms.Form):
    """An API token to be created."""

    name = forms.CharField(
        max_length=80, help_text="What will use it, such as 'zendesk importer'.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    scope = forms.ChoiceField(
        label="For", choices=list(SCOPES.items()), initial="all", required=False,
        help_text="No token allows more than your roles do.",
    )
    expires_days = forms.TypedChoiceField(
        # A choice is text and cannot be None, so 0 means that the token does not expire.
        label="Lasts", coerce=lambda value: int(value) or None, initial=90,
        choices=[*((days, f"{days} days") for days in EXPIRY_DAYS), (0, "until it is revoked")],
    )

    def clean_scope(self) -> str:
        """A form without the choice asks for the usual."""
        return self.cleaned_data["scope"] or "all"
