"""The REST endpoints by role, by strangers and anonymously, and their one shape of errors."""

from __future__ import annotations

from uuid import uuid4

import pytest
from rest_framework.test import APIClient

from annotation import services
from annotation.models import Annotation, Assignment
from tests.annotation.test_services import submit

pytestmark = pytest.mark.django_db


@pytest.fixture
def held(project, stock, annotator):
    stock(2)
    return services.task_next(project=project, user=annotator)


@pytest.fixture
def given(project, stock, annotator, answer):
    stock(1)
    return submit(project, annotator, answer)


def calls(held_id=1, given_id=1):
    return [
        ("get", "/api/v1/projects/", None), ("post", "/api/v1/projects/", {"name": "x"}),
        ("get", "/api/v1/projects/support-replies/", None), ("post", "/api/v1/projects/support-replies/next/", {}),
        ("post", "/api/v1/projects/support-replies/undo/", {}),
        ("get", "/api/v1/projects/support-replies/tasks/", None),
        ("post", f"/api/v1/assignments/{held_id}/draft/", {"draft": [], "version": 1}),
        ("post", f"/api/v1/assignments/{held_id}/submit/", {"result": []}),
        ("post", f"/api/v1/assignments/{held_id}/skip/", {"reason": "x"}),
        ("post", f"/api/v1/assignments/{held_id}/renew/", {}), ("post", f"/api/v1/assignments/{held_id}/release/", {}),
        ("post", f"/api/v1/annotations/{given_id}/review/", {"decision": "accept"}),
    ]


@pytest.mark.parametrize(("method", "url", "body"), calls())
def test_nobody_gets_in_without_a_token(project, method, url, body):
    response = getattr(APIClient(), method)(url, body, format="json")
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "not_authenticated"


def test_a_stranger_gets_nothing(project, held, stranger, api_of):
    client = api_of(stranger)
    for method, url, body in calls(held.pk, 1):
        response = getattr(client, method)(url, body, format="json")
        if method == "get" and url == "/api/v1/projects/":
            assert response.json()["results"] == []
        else:
            assert response.status_code in (403, 404), (url, response.json())
            assert response.json()["error"]["message"]
    held.refresh_from_db()
    assert held.status == "active"


def test_a_turn_of_work_over_rest(project, stock, annotator, reviewer, answer, api_of):
    stock(1)
    client = api_of(annotator)
    got = client.post("/api/v1/projects/support-replies/next/").json()
    work = got["assignment"]
    assert got["reason"] == "oldest free task of the project"
    assert work["task"]["data"]["reply"] == "Please send it back to us."
    assert work["suggestions"][0]["origin_name"] == "agent"
    base = f"/api/v1/assignments/{work['id']}"
    saved = client.post(f"{base}/draft/", {"draft": answer, "version": 1}, format="json").json()
    assert (saved["saved"], saved["held"], saved["version"]) == (True, True, 1)
    assert client.post(f"{base}/renew/").json()["expires_at"]
    body = {"result": answer, "submission_id": str(uuid4()), "suggestion_id": work["suggestions"][0]["id"]}
    first = client.post(f"{base}/submit/", body, format="json")
    again = client.post(f"{base}/submit/", body, format="json")
    assert (first.status_code, first.json()) == (201, again.json())
    assert first.json()["suggestion_use"] == "edited"
    assert client.post("/api/v1/projects/support-replies/next/").json()["assignment"] is None
    review = api_of(reviewer).post(
        f"/api/v1/annotations/{first.json()['id']}/review/", {"decision": "accept"}, format="json"
    )
    assert (review.status_code, review.json()["task_state"]) == (201, "settled")


@pytest.mark.parametrize(("path", "body", "field"), [
    ("submit", {}, "result"), ("submit", {"result": "x"}, "result"), ("submit", {"result": [], "submission_id": "x"},
                                                                      "submission_id"),
    ("submit", {"result": []}, "reply"), ("draft", {"draft": []}, "version"),
    ("draft", {"draft": 1, "version": 1}, "draft"),
    ("draft", {"draft": [], "version": 0}, "version"), ("skip", {}, "reason"), ("skip", {"reason": " "}, "reason"),
])
def test_a_faulty_body_is_400_with_the_field(held, annotator, api_of, path, body, field):
    response = api_of(annotator).post(f"/api/v1/assignments/{held.pk}/{path}/", body, format="json")
    assert response.status_code == 400
    assert response.json()["error"]["field"] == field


def test_a_lost_lease_is_422_with_a_code_and_the_answer_is_kept(project, held, annotator, annotator2, answer, api_of):
    Assignment.objects.filter(pk=held.pk).update(expires_at=held.leased_at)
    other = services.task_next(project=project, user=annotator2)
    services.task_skip(assignment_id=other.pk, user=annotator2, reason="x")
    assert services.task_next(project=project, user=annotator2).task_id == held.task_id
    response = api_of(annotator).post(f"/api/v1/assignments/{held.pk}/submit/", {"result": answer}, format="json")
    assert (response.status_code, response.json()["error"]["code"]) == (422, "lease_lost")
    held.refresh_from_db()
    assert held.draft


def test_skip_release_and_undo(project, held, annotator, answer, api_of):
    client = api_of(annotator)
    assert client.post(f"/api/v1/assignments/{held.pk}/release/", {"leased_at": held.leased_at.isoformat()},
                       format="json").json() == {"released": True}
    held = services.task_next(project=project, user=annotator)
    assert client.post(f"/api/v1/assignments/{held.pk}/skip/", {"reason": "x"}, format="json").json() == {
        "status": "skipped"
    }
    submit(project, annotator, answer)
    undone = client.post("/api/v1/projects/support-replies/undo/").json()
    assert undone["assignment"]["draft"] == Annotation.objects.get().result
    assert client.post("/api/v1/projects/support-replies/undo/").status_code == 404


def test_projects_are_made_by_leads_and_refused_with_the_field(lead, annotator, admin, api_of):
    assert api_of(annotator).post("/api/v1/projects/", {"name": "x"}, format="json").status_code == 403
    made = api_of(lead).post("/api/v1/projects/", {"name": "New one"}, format="json")
    assert (made.status_code, made.json()["slug"]) == (201, "new-one")
    fault = api_of(lead).post("/api/v1/projects/", {"name": "B", "label_config": "<View><Foo/></View>"}, format="json")
    assert (fault.status_code, fault.json()["error"]["field"]) == (400, "label_config")
    assert "<Foo>" in fault.json()["error"]["message"]
    assert [p["slug"] for p in api_of(admin).get("/api/v1/projects/").json()["results"]] == ["new-one"]
    assert api_of(lead).get("/api/v1/projects/new-one/").json()["controls"][0]["name"] == "reply"
    assert api_of(annotator).get("/api/v1/projects/new-one/").status_code == 404


def test_tasks_are_listed_by_key_and_state_for_reviewers_and_leads(project, stock, annotator, reviewer, admin, api_of,
                                                                   django_assert_max_num_queries):
    stock(120)
    assert api_of(annotator).get("/api/v1/projects/support-replies/tasks/").status_code == 403
    client = api_of(reviewer)
    with django_assert_max_num_queries(10):
        page = client.get("/api/v1/projects/support-replies/tasks/?state=open&limit=100").json()
    assert len(page["results"]) == 100
    assert len(client.get(page["next"]).json()["results"]) == 20
    assert client.get("/api/v1/projects/support-replies/tasks/?state=x").status_code == 400
    assert api_of(admin).get("/api/v1/projects/support-replies/tasks/?state=settled").json()["results"] == []


def test_reviews_are_for_reviewers_and_decided_once(project, given, annotator2, reviewer, admin, api_of):
    url = f"/api/v1/annotations/{given.pk}/review/"
    for user in (annotator2, admin):
        assert api_of(user).post(url, {"decision": "accept"}, format="json").status_code == 403
    client = api_of(reviewer)
    assert client.post(url, {"decision": "reject"}, format="json").json()["error"]["field"] == "comment"
    fix = [{"from_name": "reply", "value": {"text": ["New"]}}, {"from_name": "quality", "value": {"choices": ["good"]}}]
    done = client.post(url, {"decision": "fix", "fixed_result": fix}, format="json")
    assert (done.status_code, done.json()["task_state"]) == (201, "settled")
    late = client.post(url, {"decision": "accept"}, format="json")
    assert (late.status_code, late.json()["error"]["code"]) == (422, "decided")
    assert client.post("/api/v1/annotations/99999/review/", {"decision": "accept"}, format="json").status_code == 404


def test_the_schema_describes_the_endpoints(project, admin, api_of):
    text = api_of(admin).get("/api/v1/schema/").content.decode()
    for path in ("/projects/{slug}/next/", "/assignments/{id}/submit/", "/annotations/{id}/review/"):
        assert f"/api/v1{path}" in text


def test_a_token_does_the_hot_path_in_few_queries(held, annotator, answer, api_of, django_assert_max_num_queries):
    client = api_of(annotator)
    with django_assert_max_num_queries(16):
        client.post("/api/v1/projects/support-replies/next/")
    with django_assert_max_num_queries(26):
        client.post(f"/api/v1/assignments/{held.pk}/submit/", {"result": answer}, format="json")


@pytest.mark.parametrize(("path", "body"), [
    ("annotations/{}/review/", {"decision": "accept"}),
    ("annotations/{}/spans/", {"control": "reply", "start": 0, "keep": True}),
    ("tasks/{}/reopen/", {}), ("flags/{}/resolve/", {"decision": "return"}),
])
def test_to_a_stranger_what_there_is_and_what_is_not_look_the_same(project, given, annotator, stranger, api_of, path, body):
    flag = services.task_flag(task_id=given.task_id, user=annotator, reason="unsafe", comment="")
    there = {"annotations": given.pk, "tasks": given.task_id, "flags": flag.pk}[path.split("/")[0]]
    words = []
    for number in (there, 999_999):
        response = api_of(stranger).post(f"/api/v1/{path.format(number)}", body, format="json")
        assert response.status_code == 404
        words.append(response.json()["error"]["message"].replace(str(number), "N"))
    assert words[0] == words[1]
    assert project.slug not in words[0]
