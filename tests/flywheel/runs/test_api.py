"""The REST API of runs and models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from annotation.models import Membership
from flywheel.core.models import User
from flywheel.runs.models import Device, ModelVersion, Recipe, RunEvent, TrainingRun
from tests.conftest import make_user
from tests.flywheel.runs import builders
from tests.flywheel.runs.builders import Messages

pytestmark = pytest.mark.django_db
ApiOf = Callable[[User], APIClient]


def test_each_endpoint_answers_its_roles_and_nobody_else(
    model: ModelVersion, api_of: ApiOf, annotator: User, reviewer: User, lead: User, steward: User, admin: User,
    stranger: User,
) -> None:
    viewers, askers, admins = {"lead", "steward", "admin"}, {"lead", "admin"}, {"admin"}
    one, two = f"/api/v1/runs/{model.run.uid}/", f"/api/v1/models/{model.name}/"
    people = {"annotator": annotator, "reviewer": reviewer, "lead": lead, "steward": steward, "admin": admin,
              "stranger": stranger}
    for method, path, roles in [
        ("get", "/api/v1/runs/", viewers), ("post", "/api/v1/runs/estimate/", askers), ("get", one, viewers),
        ("post", f"{one}approve/", admins), ("post", f"{one}cancel/", askers), ("get", f"{one}events/", viewers),
        ("get", "/api/v1/models/", viewers), ("get", two, viewers), ("post", f"{two}suggestions/", askers),
        ("post", f"{two}promote/", admins),
    ]:
        assert getattr(APIClient(), method)(path).status_code == 401, path
        for role, person in people.items():
            status = getattr(api_of(person), method)(path).status_code
            assert (status != 403) == (role in roles), (role, path, status)


def test_requesting_is_for_leads_of_the_project_and_admins(
    api_of: ApiOf, snapshot: Any, recipe: Recipe, device: Device, steward: User, annotator: User, stranger: User
) -> None:
    body = {"snapshot": str(snapshot.uid), "recipe": recipe.name, "device": device.name}
    for person in (steward, annotator, stranger):
        assert api_of(person).post("/api/v1/runs/", body, format="json").status_code == 403
    other = make_user("olga", "lead")
    Membership.objects.create(project=builders.project("sales"), user=other, role=Membership.Role.LEAD)
    assert api_of(other).post("/api/v1/runs/", body, format="json").status_code == 404
    assert TrainingRun.objects.count() == 0


def test_a_run_is_estimated_requested_approved_and_cancelled(
    api_of: ApiOf, snapshot: Any, recipe: Recipe, device: Device, lead: User, admin: User, messages: Messages
) -> None:
    builders.budget(admin)
    Device.objects.update(default=True)
    body = {"snapshot": str(snapshot.uid), "recipe": recipe.name, "overrides": {"limits": {"max_steps": 2}}}
    estimate = api_of(lead).post("/api/v1/runs/estimate/", body, format="json").json()
    assert estimate["basis"] == "cold"
    assert estimate["problems"] == []
    made = api_of(lead).post("/api/v1/runs/", body, format="json")
    assert made.status_code == 201
    uid = made.json()["uid"]
    assert made.json()["status"] == "requested"
    assert api_of(admin).post(f"/api/v1/runs/{uid}/approve/").json()["status"] == "queued"
    again = api_of(admin).post(f"/api/v1/runs/{uid}/approve/")
    assert (again.status_code, again.json()["error"]["code"]) == (422, "conflict")
    assert api_of(lead).post(f"/api/v1/runs/{uid}/cancel/", {"reason": "no"}, format="json").json()["status"] == (
        "cancelled"
    )
    listed = api_of(lead).get("/api/v1/runs/?status=cancelled").json()["results"]
    assert [r["uid"] for r in listed] == [uid]


@pytest.mark.parametrize(("change", "status", "words"), [
    ({"snapshot": "x"}, 400, "UUID"), ({"recipe": "none such"}, 404, "recipe 'none such' does not exist"),
    ({"device": "none such"}, 404, "device 'none such' does not exist"), ({"overrides": {"limits": {"max_steps": -1}}}, 400, "max_steps is -1"),
    ({"overrides": []}, 400, "overrides"), ({"overrides": "x"}, 400, "overrides"),
])
def test_a_bad_request_is_told_what_is_wrong(
    change: dict[str, Any], status: int, words: str, api_of: ApiOf, snapshot: Any, recipe: Recipe, device: Device,
    lead: User,
) -> None:
    body = {"snapshot": str(snapshot.uid), "recipe": recipe.name, "device": device.name} | change
    answer = api_of(lead).post("/api/v1/runs/", body, format="json")
    assert answer.status_code == status
    assert words in str(answer.json()["error"])


def test_events_are_read_from_where_one_is(api_of: ApiOf, run: TrainingRun, steward: User) -> None:
    RunEvent.objects.bulk_create([
        RunEvent(run=run, seq=n, at=timezone.now(), kind="metric", data={"step": n}) for n in (1, 2, 3)
    ])
    told = api_of(steward).get(f"/api/v1/runs/{run.uid}/events/?after=1").json()
    assert [e["seq"] for e in told["events"]] == [2, 3]


def test_models_tell_the_rule_and_are_promoted(api_of: ApiOf, model: ModelVersion, admin: User, lead: User) -> None:
    found = api_of(lead).get(f"/api/v1/models/?project={model.project.slug}&status=candidate").json()["results"]
    assert found[0]["rule"]["passes"] is True
    assert found[0]["evaluation"]["tuned_loss"] == 2.0
    assert api_of(admin).post(f"/api/v1/models/{model.name}/promote/").json()["status"] == "champion"
    builders.tasks(model.project, builders.source(lead), 1)
    assert api_of(lead).post(f"/api/v1/models/{model.name}/suggestions/").json()["tasks"] == 1
    assert api_of(lead).get("/api/v1/models/none-such/").status_code == 404
