"""The command that gives an installation without demo people what runs need."""

from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from flywheel.core.models import User
from flywheel.runs.models import Device, Recipe
from tests.flywheel.runs.builders import budget_now

pytestmark = pytest.mark.django_db


def test_an_admin_gets_recipes_device_and_budget_and_a_second_time_changes_nothing(admin: User) -> None:
    call_command("runs_defaults", by=admin.username)
    made = Recipe.objects.count()
    assert made > 0
    assert Device.objects.filter(default=True).exists()
    assert budget_now().cap > 0
    call_command("runs_defaults", by=admin.username)
    assert Recipe.objects.count() == made


def test_others_and_nobody_are_refused_in_words(lead: User) -> None:
    with pytest.raises(CommandError, match="admin"):
        call_command("runs_defaults", by=lead.username)
    with pytest.raises(CommandError, match="no active person is called 'nobody'"):
        call_command("runs_defaults", by="nobody")
    assert not Recipe.objects.exists()
