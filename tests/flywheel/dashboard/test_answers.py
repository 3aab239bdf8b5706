"""The answers behind the wheel's counts of what annotators did with suggestions."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from annotation.models import Annotation, Membership, Project, Task
from flywheel.core.models import User
from flywheel.dashboard import selectors
from flywheel.stats.registry import stats_refresh
from tests.flywheel.dashboard.conftest import Turn, example_make

ClientOf = Callable[[User], Client]


def answer(turn: Turn, author: User, number: int, **fields: object) -> Annotation:
    """An answer to the champion's suggestion, on a separate example."""
    task = Task.objects.create(project=turn.project, example=example_make(turn.taught.source, number))
    return Annotation.objects.create(**{
        "task": task, "project": turn.project, "author": author, "suggestion_origin": "gen-1",
        "suggestion_use": "accepted", "edit_distance": 0.0,
    } | fields)


def addresses(page: str) -> list[str]:
    """Where the page leads."""
    return [unescape(part.split('"', 1)[0]) for part in page.split('href="')[1:]]


def test_every_count_of_the_wheel_opens_into_the_answers_that_it_counts(
    turn: Turn, admin: User, annotator: User, client_of: ClientOf
) -> None:
    for number, use in enumerate(("accepted", "accepted", "edited", "replaced"), start=10):
        answer(turn, annotator, number, suggestion_use=use)
    answer(turn, annotator, 20, state="undone")
    answer(turn, annotator, 21, suggestion_use="none")
    parent = answer(turn, annotator, 22, suggestion_use="edited", suggestion_origin="gen-0")
    answer(turn, annotator, 23, parent=parent)
    stats_refresh(due_only=False)
    client = client_of(admin)
    wheel = client.get("/wheel/").content.decode()
    (row,) = [row.acceptance for row in selectors.wheel_now().generations if row.acceptance.name == "gen-1"]
    counts = {"": row.shown, "&use=accepted": row.accepted, "&use=edited": row.edited, "&use=replaced": row.replaced}
    assert counts == {"": 4, "&use=accepted": 2, "&use=edited": 1, "&use=replaced": 1}
    for use, count in counts.items():
        address = f"/wheel/answers/?of=gen-1{use}"
        assert address in addresses(wheel)
        assert len(client.get(address).context["page"].rows) == count
    assert "/wheel/answers/?of=agent&use=edited" in addresses(wheel)
    assert "/wheel/answers/?of=agent&use=replaced" not in addresses(wheel)
    model = addresses(client.get("/models/gen-1/").content.decode())
    assert {f"/wheel/answers/?of=gen-1{use}" for use in counts} <= set(model)
    listed = client.get("/wheel/answers/?of=gen-1").content.decode()
    assert f"/examples/{Annotation.objects.order_by('pk')[1].task.example.uid}/" in addresses(listed)


def test_a_lead_sees_answers_of_the_projects_they_lead_only(
    turn: Turn, lead: User, annotator: User, client_of: ClientOf
) -> None:
    answer(turn, annotator, 10)
    other = Project.objects.create(name="Other", slug="other", label_config="<View/>")
    answer(turn, annotator, 11, project=other)
    Membership.objects.get_or_create(project=turn.project, user=lead, role="lead")
    page = client_of(lead).get("/wheel/answers/?of=gen-1")
    assert [row.project for row in page.context["page"].rows] == [turn.project]
    assert "Only those of projects that you lead" in page.content.decode()
    Membership.objects.filter(user=lead).delete()
    assert client_of(lead).get("/wheel/answers/?of=gen-1").context["page"].rows == []


@pytest.mark.parametrize("query", ["?of=nobody", "?of=gen-1&use=odd", "?of=%ff&after=x&before=y"])
def test_an_odd_address_is_an_empty_or_the_whole_list(query: str, turn: Turn, admin: User, client_of: ClientOf) -> None:
    assert client_of(admin).get(f"/wheel/answers/{query}").status_code == 200


@pytest.mark.parametrize("query", ["", "?of=", "?of=%20"])
def test_without_an_origin_the_wheel_names_them(query: str, turn: Turn, admin: User, client_of: ClientOf) -> None:
    assert client_of(admin).get(f"/wheel/answers/{query}").headers["Location"] == "/wheel/"


def test_the_list_is_paged_by_key_with_as_many_queries_for_one_answer_as_for_a_full_page(
    turn: Turn, admin: User, annotator: User, client_of: ClientOf
) -> None:
    client = client_of(admin)
    answer(turn, annotator, 10)
    client.get("/wheel/answers/?of=gen-1")
    with CaptureQueriesContext(connection) as one:
        client.get("/wheel/answers/?of=gen-1")
    made = [answer(turn, annotator, number) for number in range(11, 65)]
    with CaptureQueriesContext(connection) as many:
        first = client.get("/wheel/answers/?of=gen-1").context["page"]
    assert len(many) == len(one)
    assert [row.pk for row in first.rows] == [row.pk for row in reversed(made)][:50]
    second = client.get(f"/wheel/answers/?of=gen-1&after={first.next}").context["page"]
    assert len(second.rows) == 5
    assert second.next == ""
