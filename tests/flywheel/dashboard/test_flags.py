"""Homes of reviewer and lead show how many flags wait, and lead to their list."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client

from annotation.models import Flag, Membership
from flywheel.core.models import User
from flywheel.stats.registry import stats_refresh
from tests.flywheel.dashboard.conftest import Turn

ClientOf = Callable[[User], Client]


@pytest.mark.parametrize("role", ["reviewer", "lead"])
def test_the_home_counts_open_flags(
    role: str, turn: Turn, annotator: User, request: pytest.FixtureRequest, client_of: ClientOf
) -> None:
    user = request.getfixturevalue(role)
    Membership.objects.get_or_create(project=turn.project, user=user, role=role)
    task = turn.project.tasks.get(example=turn.taught)
    for state in ("open", "returned", "undone"):
        Flag.objects.create(project=turn.project, task=task, raised_by=annotator, reason="unsafe", state=state)
    stats_refresh(due_only=False)
    html = client_of(user).get("/").content.decode()
    assert '<a href="/projects/replies/flags/">1</a>' in html
    Flag.objects.update(state="closed")
    stats_refresh(due_only=False)
    assert '<a href="/projects/replies/flags/">1</a>' not in client_of(user).get("/").content.decode()
