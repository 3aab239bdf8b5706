"""Odd values in every address and body of provenance, datasets and runs: refused in words or ignored, never a 500."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from flywheel.audit.models import LedgerEntry
from flywheel.core.models import User
from flywheel.runs import services
from flywheel.runs.models import ModelVersion, TrainingRun
from provenance.models import Subject
from tests.flywheel.runs import builders
from tests.sweeps import sweep

pytestmark = pytest.mark.django_db
ClientOf = Callable[[User], Client]

MORE_ODD = ("..", "😀", "\x00", "x" * 5_000, "-1", "1e9", "'; --", "%", "\u202e", "{}", "٣", " ")
ODD = sweep(("a\x00b", "9" * 40), MORE_ODD)


@pytest.fixture
def both(admin: User, client_of: ClientOf) -> Client:
    """Admin and steward in one, so that every page opens."""
    from django.contrib.auth.models import Group

    admin.groups.add(Group.objects.get_or_create(name="steward")[0])
    return client_of(admin)


@pytest.fixture
def subject(model: ModelVersion) -> Subject:
    made = Subject.objects.create(namespace="n", external_ref="c")
    model.run.snapshot.rows.get(leaf_index=0).record.subjects.add(made)
    return made


def pages(model: ModelVersion, subject: Subject) -> list[tuple[str, tuple[str, ...]]]:
    run, snapshot = model.run, model.run.snapshot
    paging = ("after", "before")
    return [
        ("/runs/", ("q", "status", "snapshot", "subject", *paging)), ("/runs/new/", ("snapshot", "recipe", "device")),
        ("/runs/estimate/", ("snapshot", "recipe", "device", "epochs", "max_steps", "max_cost", "seed", "name")),
        (f"/runs/{run.uid}/live/", ("status",)), (f"/runs/{run.uid}/curve.json", ("since",)),
        ("/models/", ("project", "status", "subject", *paging)), (f"/models/{model.name}/rows/", ("split", *paging)),
        ("/budgets/", ("device",)), ("/snapshots/", ("status", "subject", *paging)), ("/snapshots/new/", ("project",)),
        (f"/snapshots/{snapshot.uid}/rows/", ("split", "tainted", *paging)),
        (f"/snapshots/{snapshot.uid}/refusals/", ("rule", *paging)),
        ("/clearance/", ("purpose", "region", "rule")), ("/clearance/sft/no_consent/", ("region", *paging)),
        ("/subjects/", ("q", *paging)), (f"/subjects/{subject.uid}/", paging), ("/ledger/", ("action", "object", *paging)),
        ("/api/v1/runs/", ("status", "cursor", "limit")), (f"/api/v1/runs/{run.uid}/events/", ("after",)),
        ("/api/v1/models/", ("project", "status", "cursor", "limit")), ("/api/v1/snapshots/", ("cursor", "limit")),
        (f"/api/v1/snapshots/{snapshot.uid}/openai.jsonl", ("split",)), ("/api/v1/ledger/", ("object", "cursor", "limit")),
        (f"/api/v1/records/{snapshot.rows.get(leaf_index=0).record.uid}/verdict/", ("purpose", "region", "commercial")),
    ]


def test_no_value_in_an_address_breaks_a_page(both: Client, model: ModelVersion, subject: Subject) -> None:
    for path, names in pages(model, subject):
        for params in ({}, *({name: value} for name in names for value in ("a\x00b", "9" * 40, *MORE_ODD))):
            answer = both.get(path, params)
            if answer.streaming:
                b"".join(answer.streaming_content)
            assert answer.status_code < 500, (path, params)


@pytest.mark.parametrize("value", ODD)
def test_no_name_in_a_path_breaks_a_page(both: Client, model: ModelVersion, value: str) -> None:
    from urllib.parse import quote

    name = quote(value, safe="")
    snapshot = model.run.snapshot.uid
    for path in (
        f"/models/{name}/", f"/models/{name}/rows/", f"/models/{name}/model.zip", f"/runs/{model.run.uid}/files/{name}",
        f"/snapshots/{snapshot}/files/{name}", f"/clearance/{name}/no_consent/", f"/clearance/sft/{name}/",
        f"/api/v1/models/{name}/", f"/api/v1/snapshots/{snapshot}/files/{name}", f"/api/v1/runs/{name}/",
    ):
        answer = both.get(path)
        if answer.streaming:
            b"".join(answer.streaming_content)
        assert answer.status_code in (400, 403, 404), path
    for path in (f"/api/v1/consents/{name}/events/",):
        assert both.post(path, {}, content_type="application/json").status_code in (400, 404), path


def _bodies(model: ModelVersion, subject: Subject) -> list[tuple[str, dict[str, Any]]]:
    run, snapshot = model.run, model.run.snapshot
    event = {"event_time": "2026-01-01T00:00:00Z", "event_state": "ConsentGiven", "entity_id": "form", "event_type": "x"}
    asked = {"snapshot": str(snapshot.uid), "recipe": run.recipe.name, "device": run.device.name, "name": "n",
             "overrides": {"hyperparameters": {}}}
    return [
        ("/api/v1/runs/", asked), ("/api/v1/runs/estimate/", asked),
        (f"/api/v1/runs/{run.uid}/cancel/", {"reason": "r"}),
        (f"/api/v1/models/{model.name}/promote/", {"override_reason": "r"}),
        (f"/api/v1/models/{model.name}/decide/", {"decision": "retire", "reason": "r"}),
        ("/api/v1/snapshots/", {"project": model.project.slug, "name": "n", "purpose": "sft", "region": "EU", "seed": 0,
                                "shares": {"test": 0.1}, "system_prompt": "s", "commercial": True}),
        ("/api/v1/consents/", {"namespace": "n", "subject_ref": "s", "record_id": "r", "purposes": ["sft"],
                               "lawful_basis": "eu-gdpr:A6-1-a", "privacy_notice": "p", "language": "en",
                               "jurisdiction": "DE", "collection_method": "m", "events": [event]}),
        (f"/api/v1/subjects/{subject.uid}/withdraw/", {"purposes": ["sft"], "reason": "r"}),
    ]


@pytest.mark.parametrize("value", sweep(
    ("a\x00b", "\ud800", 10**30, {}),
    ("\x00", "x" * 100_000, -1, 1e300, None, True, [], [[]], ["\x00"], {"\x00": "\x00"}, ""),
))
def test_no_value_in_a_body_breaks_an_endpoint(both: Client, model: ModelVersion, subject: Subject, value: Any) -> None:
    for path, good in _bodies(model, subject):
        for name in good:
            answer = both.post(path, good | {name: value}, content_type="application/json")
            assert answer.status_code < 500, (path, name, answer.content[:200])
        answer = both.post(path, [value], content_type="application/json")
        assert answer.status_code == 400, path


@pytest.mark.parametrize("value", ["\x00", "a\x00b", "\ud800", "0000-00-00T00:00:00Z", "9999-12-31T23:59:59-14:00", 5, None])
@pytest.mark.parametrize("name", ["event_time", "event_state", "event_type", "entity_id", "validity_duration"])
def test_no_value_in_a_consents_event_breaks_it(both: Client, name: str, value: Any) -> None:
    event = {"event_time": "2026-01-01T00:00:00Z", "event_state": "ConsentGiven"} | {name: value}
    row = {"namespace": "n", "subject_ref": "s", "record_id": "r", "purposes": ["sft"], "events": [event]}
    assert both.post("/api/v1/consents/", row, content_type="application/json").status_code in (201, 400)


@pytest.mark.parametrize("limits", [
    {"max_cost": 1e20}, {"max_cost": 10**30}, {"max_cost": 0}, {"max_cost": -1}, {"max_steps": 10**12}, {"max_steps": 0},
    {"max_seconds": 1e300}, {"cost_per_hour": 1e300},
])
def test_limits_beyond_all_bounds_are_refused_or_kept(both: Client, run: TrainingRun, limits: dict[str, Any]) -> None:
    body = {"snapshot": str(run.snapshot.uid), "recipe": run.recipe.name, "device": run.device.name,
            "overrides": {"limits": limits}}
    for path in ("/api/v1/runs/estimate/", "/api/v1/runs/"):
        answer = both.post(path, body, content_type="application/json")
        assert answer.status_code in (200, 201, 400), (path, answer.content[:200])


def test_an_estimate_too_dear_to_count_is_refused_in_words(both: Client, run: TrainingRun) -> None:
    dear = builders.device(price_per_hour="999999")
    body = {"snapshot": str(run.snapshot.uid), "recipe": run.recipe.name, "device": dear.name,
            "overrides": {"hyperparameters": {"epochs": 1000.0}}}
    TrainingRun.objects.all().delete()
    type(run.recipe).objects.update(base_parameters=10**15)
    for path in ("/api/v1/runs/estimate/", "/api/v1/runs/"):
        answer = both.post(path, body, content_type="application/json")
        assert answer.status_code == 400, answer.content[:300]
        assert "max_cost" in answer.json()["error"]["message"]


@pytest.mark.parametrize("amount", ["1e30", "-0.01", "NaN", "Infinity", "99999999999", "", "0.001", "x", "\x00"])
def test_a_budget_that_cannot_be_is_refused_on_its_page(both: Client, run: TrainingRun, amount: str) -> None:
    entries = LedgerEntry.objects.count()
    for name in ("cap", "second_person_above"):
        answer = both.post("/budgets/budget/", {"cap": "10", "second_person_above": "5"} | {name: amount})
        assert answer.status_code == 422, (name, amount)
    assert LedgerEntry.objects.count() == entries


@pytest.mark.parametrize("reason", ["a\x00b and more words", "x" * 5_000])
def test_reasons_on_pages_are_bounded_and_plain(both: Client, model: ModelVersion, subject: Subject, reason: str) -> None:
    record = subject.records.get()
    for path, body in (
        (f"/records/{record.uid}/quarantine/", {"reason": reason}),
        (f"/subjects/{subject.uid}/withdraw/", {"purposes": ["sft"], "reason": reason, "confirm": str(subject)}),
        (f"/models/{model.name}/promote/", {"override_reason": reason}),
        (f"/models/{model.name}/decide/", {"decision": "retire", "reason": reason}),
        (f"/runs/{model.run.uid}/cancel/", {"reason": reason}),
    ):
        assert both.post(path, body).status_code < 500, path


def test_services_refuse_what_pages_would(run: TrainingRun, admin: User) -> None:
    from decimal import Decimal

    from flywheel.core.errors import ValidationFailed

    for cap in (Decimal("NaN"), Decimal("Infinity"), Decimal(10) ** 12, Decimal(-1)):
        with pytest.raises(ValidationFailed):
            services.budget_set(cap=cap, second_person_above=Decimal(1), by=admin)
