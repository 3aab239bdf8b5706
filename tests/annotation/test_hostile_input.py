"""Whatever an address, a form or a body holds: a refusal in words, never a fault of the server's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from annotation import services
from annotation.models import Assignment
from tests.annotation.test_services import submit
from tests.sweeps import sweep

pytestmark = pytest.mark.django_db

VALUES = sweep(["\x00", "\ud800"], ["9" * 19, "", "-1", "1.5", "²", "١٢", "9" * 5_000, "<b>" * 400])


@pytest.fixture
def work(project, stock, annotator, annotator2, answer):
    """A task in review and one that annotator holds."""
    stock(3)
    given = submit(project, annotator2, answer)
    return given, services.task_next(project=project, user=annotator)


def requests_of(value: str, given: Any, held: Any) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(method, address, parameters) for the annotator's and the lead's pages with the value in every place."""
    bench, review, projects = "/annotate/support-replies/", "/review/support-replies/", "/projects/support-replies/"
    yield "get", bench, {"assignment": value}
    for field in ("assignment", "submission_id", "suggestion_id", "c-reply", "c-quality"):
        form = {"assignment": str(held.pk), "submission_id": "", "c-reply": "x", "c-quality": "no such"}
        yield "post", bench, form | {field: value}
    yield "post", f"{bench}ahead/", {"current": value}
    yield "get", f"{bench}mine/", {"after": value, "status": value}
    yield "post", f"{projects}tasks/{held.task_id}/flag/", {"reason": value, "comment": value, "from": value}
    yield "get", review, {"after": value}
    yield "post", f"{review}{given.task_id}/", {"annotation": value, "decision": value, "comment": value}
    yield "get", f"{review}queue/", {"after": value, "before": value}
    yield "post", f"{review}answers/{given.pk}/span/", {"control": value, "part": value, "start": value}
    yield "get", f"{projects}tasks/", {"after": value, "state": value}
    yield "get", f"{projects}flags/", {"after": value, "state": value, "reason": value}
    yield "post", "/projects/preview/config/", {"label_config": value}
    yield "post", "/projects/preview/guidelines/", {"guidelines": value}
    names = ("name", "overlap", "lease_minutes", "label_config", "guidelines", "sources")
    yield "post", f"{projects}settings/", dict.fromkeys(names, value)
    for act in ("add", "remove"):
        yield "post", f"{projects}members/{act}/", {"username": value, "role": value}


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{value[:6]!a} x{len(value)}")
def test_a_page_answers_in_words(work, annotator, lead, client_of, value):
    # What no encoding can carry reaches a page as a browser sends it.
    value = value.encode("utf-8", "replace").decode()
    for user in (annotator, lead):
        client = client_of(user)
        for method, url, parameters in requests_of(value, *work):
            assert getattr(client, method)(url, parameters).status_code < 500, (method, url, parameters)


BODIES = {
    "assignments/{held}/draft/": ("draft", "version"), "assignments/{held}/release/": ("leased_at",),
    "assignments/{held}/submit/": ("result", "submission_id", "lead_time_seconds", "suggestion_id"),
    "assignments/{held}/skip/": ("reason",), "tasks/{task}/flag/": ("reason", "comment"),
    "annotations/{given}/spans/": ("control", "part", "start", "keep"),
    "annotations/{given}/review/": ("decision", "comment", "fixed_result"),
    "projects/": ("name", "slug", "guidelines", "label_config", "overlap", "lease_seconds"),
}
USUAL = {"draft": [], "version": 9, "reason": "no such", "decision": "no such", "control": "reply", "start": 0, "keep": True}


@pytest.mark.parametrize("value", VALUES, ids=lambda value: f"{value[:6]!a} x{len(value)}")
def test_an_endpoint_answers_in_words(work, annotator, lead, api_of, answer, value):
    given, held = work
    number = int(value) if value.isascii() and value.isdigit() and len(value) < 4_000 else -1
    for path, fields in BODIES.items():
        url = "/api/v1/" + path.format(held=held.pk, task=held.task_id, given=given.pk)
        client = api_of(lead if "annotations" in path or path == "projects/" else annotator)
        for field in fields:
            for raw in (value, number, [value], {"a": value}, True, None):
                body = {k: v for k, v in (USUAL | {"result": answer, "name": "N"}).items() if k in fields} | {field: raw}
                response = client.post(url, json.dumps(body), content_type="application/json")
                assert response.status_code < 500, (url, body)
        Assignment.objects.filter(pk=held.pk).update(status="active")


@pytest.mark.parametrize("number", ["0", "9" * 18, "9" * 30])
def test_a_number_that_names_nothing_is_not_found(project, annotator, lead, api_of, client_of, number):
    for path in ("tasks/{}/flag/", "tasks/{}/reopen/", "flags/{}/resolve/", "annotations/{}/spans/",
                 "annotations/{}/review/", "assignments/{}/submit/"):
        body = {"reason": "unsafe", "decision": "return", "control": "x", "start": 1, "keep": True, "result": []}
        assert api_of(lead).post(f"/api/v1/{path.format(number)}", body, format="json").status_code == 404, path
    for path in ("/projects/support-replies/tasks/{}/", "/review/support-replies/{}/",
                 "/annotate/support-replies/skip/{}/", "/projects/support-replies/tasks/{}/flag/"):
        assert client_of(lead).get(path.format(number)).status_code == 404, path
