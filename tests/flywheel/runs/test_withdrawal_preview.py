"""What is said before a withdrawal: how much it will reach, each count with its list, and who may see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Task
from flywheel.core.models import User
from flywheel.dashboard import reach
from flywheel.runs.models import ModelVersion
from provenance.models import Subject
from tests.conftest import squeezed
from tests.flywheel.runs import builders

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]


def test_the_preview_counts_runs_and_models_and_each_count_opens_into_as_many(
    champion: ModelVersion, client_of: ClientOf, steward: User, lead: User
) -> None:
    subject = builders.person_in(champion.run.snapshot)
    Task.objects.create(project=champion.project, example=champion.run.snapshot.rows.get(leaf_index=0).example)
    builders.requested(lead, of=champion.run.snapshot, where=champion.project)
    builders.requested(lead, of=builders.snapshot(champion.project, lead), where=champion.project)
    client = client_of(steward)
    page = client.get(reverse("dashboard:subject_withdraw", args=[subject.uid]))
    reached = {item.name: item for item in page.context["preview"].reached}
    assert {n: reached[n].count for n in ("snapshots", "runs", "models")} == {"snapshots": 1, "runs": 2, "models": 1}
    assert (reached["tasks"].count, reached["snapshot rows"].count) == (1, 1)
    assert not page.context["preview"].at_least
    for name in ("snapshots", "runs", "models", "tasks", "snapshot rows"):
        assert reached[name].url in page.content.decode()
        listed = client.get(reached[name].url)
        assert len(listed.context["page"].rows) == reached[name].count, name
        assert subject.external_ref in listed.content.decode()


def test_a_person_of_many_records_is_previewed_in_bounded_work(
    champion: ModelVersion, lead: User, client_of: ClientOf, steward: User, monkeypatch: pytest.MonkeyPatch,
    django_assert_max_num_queries: Any,
) -> None:
    monkeypatch.setattr(reach, "MAX_RECORDS", 2)
    asked: list[int] = []
    real = reach.runs_count

    def counted(records: list[int]) -> dict[str, int]:
        asked.append(len(records))
        return real(records)

    monkeypatch.setattr(reach, "runs_count", counted)
    for leaf in range(3):
        subject = builders.person_in(champion.run.snapshot, leaf)
    client = client_of(steward)
    url = reverse("dashboard:subject_withdraw", args=[subject.uid])
    client.get(url)
    with django_assert_max_num_queries(14):
        page = client.get(url)
    assert asked[-1] == 2
    assert squeezed(page).count("at least ") >= 3


def test_a_kind_without_a_list_is_not_found(champion: ModelVersion, client_of: ClientOf, steward: User) -> None:
    subject = builders.person_in(champion.run.snapshot)
    for name in ("nothing", "../runs", "<b>"):
        assert client_of(steward).get(f"/subjects/{subject.uid}/reach/{name}/").status_code == 404


@pytest.mark.parametrize("path", ["/runs/", "/models/", "/snapshots/"])
def test_what_is_held_of_one_person_is_told_to_stewards_only(
    path: str, champion: ModelVersion, client_of: ClientOf, steward: User, admin: User, lead: User
) -> None:
    subject = builders.person_in(champion.run.snapshot)
    assert client_of(lead).get(path, {"subject": str(subject.uid)}).status_code == 403
    for person in (steward, admin):
        assert len(client_of(person).get(path, {"subject": str(subject.uid)}).context["table"].rows) == 1
    other = Subject.objects.create(namespace="n", external_ref="other")
    assert client_of(steward).get(path, {"subject": str(other.uid)}).context["table"].rows == []
    for nonsense in ("x", "00000000-0000-0000-0000-000000000000"):
        assert client_of(steward).get(path, {"subject": nonsense}).status_code == 404
