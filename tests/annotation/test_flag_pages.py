"""Flags on pages and over REST: by role, by strangers, with hostile input, and how many queries they take."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from django.test import Client
from rest_framework.test import APIClient

from annotation import services
from annotation.models import Assignment, Flag, Task
from flywheel.stats.registry import stats_refresh
from tests.annotation.test_flags import flag
from tests.conftest import squeezed

pytestmark = pytest.mark.django_db
BASE, PROJECT = "/annotate/support-replies/", "/projects/support-replies/"


@pytest.fixture
def held(project, stock, annotator):
    stock(2)
    return services.task_next(project=project, user=annotator)


@pytest.fixture
def raised(held, annotator):
    return flag(held.task, annotator, comment="<script>alert(1)</script> line 2")


def pages(task=1, raised=1):
    return [
        ("get", f"{PROJECT}flags/"), ("get", f"{PROJECT}tasks/{task}/flag/"), ("post", f"{PROJECT}tasks/{task}/flag/"),
        ("post", f"{PROJECT}flags/{raised}/resolve/"), ("post", f"{PROJECT}tasks/{task}/reopen/"),
    ]


def calls(task=1, raised=1):
    return [
        ("get", "/api/v1/projects/support-replies/flags/", None),
        ("post", f"/api/v1/tasks/{task}/flag/", {"reason": "unsafe"}), ("post", f"/api/v1/tasks/{task}/reopen/", {}),
        ("post", f"/api/v1/flags/{raised}/resolve/", {"decision": "return"}),
    ]


# -- who may -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("method", "url"), pages())
def test_nobody_gets_in_without_signing_in(project, method, url):
    assert "/accounts/login/" in getattr(Client(), method)(url)["Location"]


@pytest.mark.parametrize(("method", "url", "body"), calls())
def test_nobody_gets_in_without_a_token(project, method, url, body):
    assert getattr(APIClient(), method)(url, body, format="json").status_code == 401


def test_a_stranger_learns_nothing_and_changes_nothing(project, raised, stranger, client_of, api_of):
    for method, url in pages(raised.task_id, raised.pk):
        assert getattr(client_of(stranger), method)(url).status_code == 404, url
    for method, url, body in calls(raised.task_id, raised.pk):
        response = getattr(api_of(stranger), method)(url, body, format="json")
        assert response.status_code == 404, (url, response.json())
    # Nor by a faulty body, nor by whether there is such a thing at all.
    for url in (f"/api/v1/tasks/{raised.task_id}/flag/", "/api/v1/tasks/99999999/flag/",
                f"/api/v1/flags/{raised.pk}/resolve/", "/api/v1/flags/99999999/resolve/"):
        assert api_of(stranger).post(url, {"reason": "nonsense"}, format="json").status_code == 404
    assert Flag.objects.get().state == "open"
    assert Task.objects.filter(state="flagged").count() == 1


def test_an_annotator_flags_but_reads_and_decides_nothing(project, raised, annotator, annotator2, client_of, api_of):
    for user in (annotator, annotator2):
        assert client_of(user).get(f"{PROJECT}flags/").status_code == 403
        assert client_of(user).post(f"{PROJECT}flags/{raised.pk}/resolve/", {"decision": "close"}).status_code == 403
        assert api_of(user).get("/api/v1/projects/support-replies/flags/").status_code == 403
    assert client_of(annotator2).get(f"{PROJECT}tasks/{raised.task_id}/flag/").status_code == 404
    assert client_of(annotator).get(f"{PROJECT}tasks/{raised.task_id}/flag/").status_code == 200
    assert Flag.objects.get().state == "open"


def test_an_admin_reads_and_does_not_decide(project, raised, admin, client_of):
    html = client_of(admin).get(f"{PROJECT}flags/").content.decode()
    assert "Close the task" not in html
    assert "Personal data is left in the text" in html
    assert client_of(admin).post(f"{PROJECT}flags/{raised.pk}/resolve/", {"decision": "close"}).status_code == 403


def test_a_flag_of_another_project_is_not_decided_here(project, raised, lead, client_of):
    services.project_create(by=lead, name="Other")
    client = client_of(lead)
    for url in (f"/projects/other/flags/{raised.pk}/resolve/", f"/projects/other/tasks/{raised.task_id}/flag/",
                f"/projects/other/tasks/{raised.task_id}/reopen/"):
        assert client.post(url, {"decision": "close", "reason": "unsafe"}).status_code == 404, url
    assert Flag.objects.get().state == "open"


# -- pages -------------------------------------------------------------------------------------------------------------
def test_the_page_flags_without_scripts_and_keeps_what_was_typed(held, annotator, client_of):
    client, url = client_of(annotator), f"{PROJECT}tasks/{held.task_id}/flag/"
    refused = client.post(url, {"reason": "other", "comment": ""})
    assert refused.status_code == 400
    assert 'value="other" checked' in squeezed(refused)
    done = client.post(url, {"reason": "guidelines", "comment": "Refunds <b>abroad</b>"}, follow=True)
    assert done.redirect_chain[0][0] == BASE
    assert f"Task {held.task_id} is flagged" in done.content.decode()
    mine = squeezed(client.get(f"{BASE}mine/"))
    assert "You flagged it: the guidelines are wrong or do not cover it. Waits for a decision." in mine


def test_the_list_shows_flags_and_decides(project, raised, lead, annotator, client_of):
    client = client_of(lead)
    html = client.get(f"{PROJECT}flags/").content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt; line 2" in html
    done = client.post(f"{PROJECT}flags/{raised.pk}/resolve/", {"decision": "close", "note": "Right."}, follow=True)
    assert f"Task {raised.task_id} is closed" in done.content.decode()
    assert "No flag waits for a decision" in done.content.decode()
    assert "Right." in client.get(f"{PROJECT}flags/?state=closed").content.decode()
    assert "No such flag" in client.get(f"{PROJECT}flags/?state=closed&reason=unsafe").content.decode()
    task = client.get(f"{PROJECT}tasks/{raised.task_id}/").content.decode()
    assert "Kept out of snapshots: the task was closed after a flag" in task
    opened = client.post(f"{PROJECT}tasks/{raised.task_id}/reopen/", follow=True)
    assert "is open again: to annotate" in opened.content.decode()
    late = client.post(f"{PROJECT}flags/{raised.pk}/resolve/", {"decision": "return"}, follow=True)
    assert "is decided: task closed by lea" in late.content.decode()


def test_whoever_works_on_it_next_reads_the_note(project, raised, reviewer, annotator, client_of):
    services.flag_resolve(flag_id=raised.pk, by=reviewer, decision="return", note="See guideline 3.")
    html = squeezed(client_of(annotator).get(BASE))
    assert "Flagged by ann: personal data is left in the text" in html
    assert "rex gave it back to work. See guideline 3." in html


def test_a_reviewer_flags_and_goes_on_reviewing(project, stock, annotator, reviewer, answer, client_of):
    from tests.annotation.test_services import submit

    (task,) = stock(1)
    submit(project, annotator, answer)
    client = client_of(reviewer)
    assert f"{PROJECT}tasks/{task.pk}/flag/?from=review" in client.get("/review/support-replies/").content.decode()
    done = client.post(f"{PROJECT}tasks/{task.pk}/flag/", {"reason": "unsafe", "from": "review"})
    assert done["Location"] == f"/review/support-replies/?after={task.pk}"
    assert "Nothing waits for your review" in client.get("/review/support-replies/").content.decode()


def test_undo_on_the_page_brings_the_flagged_task_back(project, raised, annotator, client_of):
    client = client_of(annotator)
    fragment = client.post(f"{BASE}undo/", headers={"X-Requested-With": "workbench"})
    assert f'data-task="{raised.task_id}"' in fragment.content.decode()
    assert (fragment["X-Undone"], unquote(fragment["X-Message"])) == (
        "flag", "Your flag is taken back and the task is yours again.")
    flag(raised.task, annotator)
    done = client.post(f"{BASE}undo/", follow=True)
    assert "Your flag is taken back" in done.content.decode()
    assert Assignment.objects.get(task=raised.task).status == "active"


def test_undo_of_a_flag_that_another_shares_shows_the_next_task(project, raised, annotator, reviewer, client_of):
    flag(raised.task, reviewer)
    client = client_of(annotator)
    fragment = client.post(f"{BASE}undo/", headers={"X-Requested-With": "workbench"})
    assert f'data-task="{raised.task_id}"' not in fragment.content.decode()
    assert "another person has flagged it too" in unquote(fragment["X-Message"])


def test_the_list_is_paged_by_key_and_costs_the_same_for_any_length(project, stock, annotator, lead, client_of,
                                                                    django_assert_num_queries):
    tasks = stock(55)
    client = client_of(lead)
    Flag.objects.bulk_create([
        Flag(task=task, project=project, raised_by=annotator, reason="unsafe", comment="c") for task in tasks[:2]
    ])
    stats_refresh(due_only=False)
    url = f"{PROJECT}flags/"
    client.get(url)
    with django_assert_num_queries(9):
        client.get(url)
    Flag.objects.bulk_create([
        Flag(task=task, project=project, raised_by=annotator, reason="unsafe", comment="c") for task in tasks[2:]
    ])
    with django_assert_num_queries(9):
        first = client.get(url).content.decode()
    assert first.count('class="card flag"') == 50
    assert 'rel="next"' in first
    last = client.get(f"{url}?after={Flag.objects.order_by('pk')[49].pk}").content.decode()
    assert last.count('class="card flag"') == 5


# -- REST --------------------------------------------------------------------------------------------------------------
def test_a_flag_over_rest_from_raising_to_deciding(project, held, annotator, reviewer, admin, api_of):
    url = f"/api/v1/tasks/{held.task_id}/flag/"
    made = api_of(annotator).post(url, {"reason": "unsafe", "comment": "abuse"}, format="json")
    assert (made.status_code, made.json()["state"], made.json()["task_state"]) == (201, "open", "flagged")
    assert api_of(annotator).post(url, {"reason": "unsafe"}, format="json").json()["id"] == made.json()["id"]
    listed = api_of(admin).get("/api/v1/projects/support-replies/flags/?state=open&reason=unsafe").json()
    assert [row["comment"] for row in listed["results"]] == ["abuse"]
    resolve = f"/api/v1/flags/{made.json()['id']}/resolve/"
    closed = api_of(reviewer).post(resolve, {"decision": "close", "note": "ok"}, format="json").json()
    assert (closed["state"], closed["resolved_by"], closed["note"]) == ("closed", reviewer.pk, "ok")
    late = api_of(reviewer).post(resolve, {"decision": "return"}, format="json")
    assert (late.status_code, late.json()["error"]["code"]) == (422, "decided")
    assert api_of(reviewer).post(f"/api/v1/tasks/{held.task_id}/reopen/").json() == {"state": "open"}


def test_undo_over_rest_says_what_was_taken_back(project, raised, annotator, api_of):
    undone = api_of(annotator).post("/api/v1/projects/support-replies/undo/").json()
    assert (undone["undone"], undone["assignment"]["task"]["id"]) == ("flag", raised.task_id)
    assert undone["reason"] == "you took your flag back"


@pytest.mark.parametrize(("body", "field"), [
    ({}, "reason"), ({"reason": "x"}, "reason"), ({"reason": ["unsafe"]}, "reason"), ({"reason": "other"}, "comment"),
    ({"reason": "unsafe", "comment": "x" * 2_001}, "comment"), ({"reason": "unsafe", "comment": {"a": 1}}, "comment"),
])
def test_a_faulty_body_is_400_with_the_field(held, annotator, api_of, body, field):
    response = api_of(annotator).post(f"/api/v1/tasks/{held.task_id}/flag/", body, format="json")
    assert (response.status_code, response.json()["error"]["field"]) == (400, field)
    assert not Flag.objects.exists()


@pytest.mark.parametrize("query", ["state=x", "reason=x", "state=%00"])
def test_an_unknown_filter_is_400(project, lead, api_of, query):
    assert api_of(lead).get(f"/api/v1/projects/support-replies/flags/?{query}").status_code == 400


def test_flagging_takes_few_queries(held, annotator, api_of, django_assert_max_num_queries):
    client = api_of(annotator)
    with django_assert_max_num_queries(22):
        client.post(f"/api/v1/tasks/{held.task_id}/flag/", {"reason": "unsafe"}, format="json")
