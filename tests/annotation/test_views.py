"""The pages by role, by strangers and anonymously; they work without scripts."""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from django.test import Client

from annotation import services
from annotation.models import Annotation, Assignment, Project, Review
from flywheel.capture.models import Example
from flywheel.stats.registry import stats_refresh
from tests.annotation.conftest import ANSWER, MESSAGES, make_examples
from tests.annotation.test_services import submit

pytestmark = pytest.mark.django_db

FACTS = (
    '<View><Text name="t" value="$text"/><Labels name="facts" toName="t"><Label value="P"/></Labels>'
    '<Rating name="tone" toName="t"/><Choices name="topics" toName="t" choice="multiple"><Choice value="A"/>'
    '<Choice value="B"/></Choices><TextArea name="note" toName="t"/></View>'
)


def form(page, **change):
    """The hidden fields of the workbench's form with an answer in it."""
    html = page.content.decode()
    fields = {name: re.search(rf'name="{name}" value="([^"]*)"', html).group(1)
              for name in ("assignment", "submission_id", "suggestion_id")}
    return fields | {"c-reply": ANSWER["reply"], "c-quality": ANSWER["quality"]} | change


def gets(assignment=1, task=1):
    base, projects = "/annotate/support-replies/", "/projects/support-replies/"
    return {
        "annotator": ["/annotate/", base, f"{base}mine/", f"{base}skip/{assignment}/"],
        "reviewer": ["/review/", "/review/support-replies/", "/review/support-replies/queue/",
                     f"/review/support-replies/{task}/", projects, f"{projects}tasks/", f"{projects}tasks/{task}/"],
        "lead": ["/projects/new/", f"{projects}settings/"],
    }


def posts(assignment=1, task=1):
    base, projects = "/annotate/support-replies/", "/projects/support-replies/"
    return [
        base, f"{base}task/", f"{base}ahead/", f"{base}open/{assignment}/", f"{base}undo/",
        f"{base}skip/{assignment}/", f"{base}unskip/", f"/review/support-replies/{task}/", "/projects/new/",
        "/projects/preview/config/", "/projects/preview/guidelines/", f"{projects}settings/", f"{projects}pause/",
        f"{projects}members/add/", f"{projects}members/remove/",
    ]


@pytest.fixture
def work(project, stock, annotator, annotator2, answer):
    """A task in review by annotator, and one held by annotator2."""
    stock(3)
    given = submit(project, annotator, answer)
    held = services.task_next(project=project, user=annotator2)
    stats_refresh(due_only=False)
    return given, held


@pytest.mark.parametrize("url", [url for urls in gets().values() for url in urls] + posts())
def test_nobody_gets_in_without_signing_in(project, url):
    client = Client()
    for response in (client.get(url), client.post(url)):
        assert response.status_code in (302, 405)
        if response.status_code == 302:
            assert "/accounts/login/" in response["Location"]


def test_a_stranger_sees_no_project(project, work, stranger, client_of):
    client = client_of(stranger)
    given, held = work
    for url in [u for urls in gets(held.pk, given.task_id).values() for u in urls]:
        response = client.get(url)
        if url in ("/annotate/", "/review/"):
            assert "You annotate in no project" in response.content.decode() or "You review in no" in (
                response.content.decode())
        else:
            assert response.status_code in (403, 404), url
    assert "You are in no project" in client.get("/projects/").content.decode()
    for url in posts(held.pk, given.task_id):
        assert client.post(url).status_code in (403, 404), url


def test_each_role_opens_its_pages_and_no_other(project, work, annotator2, reviewer, lead, admin, client_of):
    given, held = work
    urls = gets(held.pk, given.task_id)
    allowed = {"annotator": (annotator2,), "reviewer": (reviewer, lead), "lead": (lead, admin)}
    for role, people in allowed.items():
        for person in people:
            for url in urls[role]:
                response = client_of(person).get(url, follow=True)
                assert response.status_code == 200, (person, url)
    for url in urls["reviewer"][1:] + urls["lead"]:
        assert client_of(annotator2).get(url).status_code == 403, url
    for url in urls["lead"]:
        assert client_of(reviewer).get(url).status_code == 403, url
    for url in urls["annotator"][1:]:
        assert client_of(reviewer).get(url).status_code in (403, 404), url
    for url in ["/annotate/support-replies/", "/review/support-replies/"]:
        assert client_of(admin).get(url).status_code == 403, url
    for url in urls["reviewer"][4:]:
        assert client_of(admin).get(url).status_code == 200, url


def test_the_only_project_opens_at_once_and_several_are_listed(project, lead, annotator, reviewer, client_of):
    assert client_of(annotator).get("/annotate/")["Location"] == "/annotate/support-replies/"
    assert client_of(reviewer).get("/review/")["Location"] == "/review/support-replies/"
    other = services.project_create(by=lead, name="Other")
    for role, user in (("annotator", annotator), ("reviewer", reviewer)):
        services.membership_set(project=other, user=user, role=role)
    assert "Other" in client_of(annotator).get("/annotate/").content.decode()
    assert "Other" in client_of(reviewer).get("/review/").content.decode()


# -- workbench ---------------------------------------------------------------------------------------------------------
def test_the_workbench_shows_the_conversation_the_suggestion_and_why(project, stock, annotator, client_of):
    stock(1)
    html = client_of(annotator).get("/annotate/support-replies/").content.decode()
    assert "My kettle leaks" in html
    assert '<span class="pii" title="Personal data, redacted">email 1</span>' in html
    assert "\nPlease send it back to us.</textarea>" in html
    assert "Suggestion from <strong>the agent</strong>" in " ".join(html.split())
    assert "oldest free task of the project" in html
    assert "What you make" in html


def test_a_models_suggestion_is_named(project, stock, annotator, client_of):
    (task,) = stock(1)
    task.example.suggestions.create(origin="model", origin_name="support-135m-v2", text="Model's words")
    html = client_of(annotator).get("/annotate/support-replies/").content.decode()
    assert "support-135m-v2" in html
    assert "Model&#x27;s words</textarea>" in html
    assert "1 more suggestion" in html


def test_the_form_submits_without_scripts_and_brings_the_next_task(project, stock, annotator, client_of):
    first, second = stock(2)
    client = client_of(annotator)
    page = client.get("/annotate/support-replies/")
    body = form(page)
    response = client.post("/annotate/support-replies/", body, follow=True)
    assert f"Task {second.pk}" in response.content.decode()
    client.post("/annotate/support-replies/", body)
    given = Annotation.objects.get()
    assert (given.task, given.suggestion_use, str(given.submission_id)) == (first, "edited", body["submission_id"])


def test_an_incomplete_answer_keeps_what_was_typed(project, stock, annotator, client_of):
    stock(1)
    client = client_of(annotator)
    body = form(client.get("/annotate/support-replies/"), **{"c-quality": "", "c-reply": "My <b>own</b> words"})
    response = client.post("/annotate/support-replies/", body)
    html = response.content.decode()
    assert response.status_code == 400
    assert "is required and empty" in html
    assert "My &lt;b&gt;own&lt;/b&gt; words</textarea>" in html
    assert body["submission_id"] in html


def test_all_controls_are_rendered_and_posted(project, source, lead, annotator, client_of):
    made = services.project_create(by=lead, name="Facts", label_config=FACTS, sources=[source])
    services.membership_set(project=made, user=annotator, role="annotator")
    make_examples(source, 1)
    services.tasks_make(project=made)
    client = client_of(annotator)
    page = client.get("/annotate/facts/")
    html = page.content.decode()
    for part in ('data-document="t"', 'data-label="P"', 'type="checkbox"', 'name="c-tone" value="5"'):
        assert part in html
    fields = form(page)
    body = {name: fields[name] for name in ("assignment", "submission_id")} | {
        "c-facts": '[{"start": 0, "end": 8, "labels": ["P"]}]', "c-tone": "4", "c-topics": ["A", "B"], "c-note": "ok",
    }
    assert client.post("/annotate/facts/", body).status_code == 302
    result = {item["from_name"]: item["value"] for item in Annotation.objects.get().result}
    assert result["facts"] == {"start": 0, "end": 8, "text": "customer", "labels": ["P"]}
    assert (result["tone"], result["topics"]) == ({"rating": 4}, {"choices": ["A", "B"]})


@pytest.mark.parametrize("junk", [
    {"assignment": "x"}, {"assignment": "9" * 30}, {"suggestion_id": "x"}, {"submission_id": "zz"},
    {"c-quality": ["good", "wrong"]}, {"c-reply": "x" * 20_001},
])
def test_junk_in_the_form_is_no_crash(project, stock, annotator, client_of, junk):
    stock(1)
    client = client_of(annotator)
    body = form(client.get("/annotate/support-replies/"), **junk)
    assert client.post("/annotate/support-replies/", body).status_code in (302, 400, 404)


def test_fragments_give_the_next_task_and_one_ahead(project, stock, annotator, client_of):
    first, second = stock(2)
    client = client_of(annotator)
    now = client.post("/annotate/support-replies/task/")
    assert f'data-task="{first.pk}"' in now.content.decode()
    current = Assignment.objects.get().pk
    ahead = client.post("/annotate/support-replies/ahead/", {"current": current})
    assert f'data-task="{second.pk}"' in ahead.content.decode()
    held = Assignment.objects.get(task=second)
    assert client.post("/annotate/support-replies/ahead/", {"current": current}).content
    services.task_skip(assignment_id=held.pk, user=annotator, reason="x")
    assert client.post("/annotate/support-replies/ahead/", {"current": current}).status_code == 204
    assert f'data-task="{second.pk}"' in client.post(f"/annotate/support-replies/open/{held.pk}/").content.decode()


@pytest.mark.sweep
def test_the_workbench_asks_the_database_the_same_with_many_tasks(project, stock, annotator, client_of,
                                                                  django_assert_max_num_queries):
    client = client_of(annotator)
    stock(10)
    client.get("/annotate/support-replies/")
    with django_assert_max_num_queries(24):
        client.get("/annotate/support-replies/")
    stock(2_000)
    with django_assert_max_num_queries(24):
        client.get("/annotate/support-replies/")


def test_an_empty_workbench_says_why_and_what_next(project, stock, annotator, lead, client_of):
    client = client_of(annotator)
    assert "No task is left for you" in client.get("/annotate/support-replies/").content.decode()
    stock(1)
    held = services.task_next(project=project, user=annotator)
    services.task_skip(assignment_id=held.pk, user=annotator, reason="x")
    assert "Take up the 1 I skipped" in client.get("/annotate/support-replies/").content.decode()
    assert client.post("/annotate/support-replies/unskip/", follow=True).status_code == 200
    assert Assignment.objects.get().status == "active"
    services.project_archive(project=project, by=lead, archived=True)
    assert "is paused" in client.get("/annotate/support-replies/").content.decode()


def test_skipping_without_scripts(project, stock, annotator, client_of):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    client = client_of(annotator)
    url = f"/annotate/support-replies/skip/{held.pk}/"
    assert client.post(url, {}).status_code == 400
    assert client.post(url, {"reason": "Not understandable"}).status_code == 302
    assert Assignment.objects.get().skip_reason == "Not understandable"


def test_undo_without_scripts_and_as_a_fragment(project, stock, annotator, answer, client_of):
    (task,) = stock(1)
    client = client_of(annotator)
    assert "no answer" in client.post("/annotate/support-replies/undo/", follow=True).content.decode()
    submit(project, annotator, answer)
    response = client.post("/annotate/support-replies/undo/", follow=True)
    assert f"Task {task.pk}" in response.content.decode()
    assert ANSWER["reply"].replace("<", "&lt;").replace(">", "&gt;") in response.content.decode()
    submit(project, annotator, answer)
    part = client.post("/annotate/support-replies/undo/", headers={"X-Requested-With": "workbench"})
    assert part.content.decode().lstrip().startswith("<form")


def test_own_work_is_listed_by_status(project, stock, annotator, answer, client_of, django_assert_max_num_queries):
    stock(5)
    submit(project, annotator, answer)
    services.task_next(project=project, user=annotator)
    client = client_of(annotator)
    with django_assert_max_num_queries(10):
        html = client.get("/annotate/support-replies/mine/").content.decode()
    assert "Submitted" in html
    assert "Held" in html
    assert "Nothing here" in client.get("/annotate/support-replies/mine/?status=skipped").content.decode()


def test_a_task_of_another_person_cannot_be_opened(project, work, annotator, client_of):
    _, held = work
    assert client_of(annotator).get(f"/annotate/support-replies/?assignment={held.pk}").status_code == 404


# -- review ------------------------------------------------------------------------------------------------------------
def test_the_reviewer_sees_the_difference_and_decides(project, stock, annotator, reviewer, answer, client_of):
    (task,) = stock(1)
    suggestion = task.example.suggestions.get()
    given = submit(project, annotator, answer, suggestion_id=suggestion.pk)
    client = client_of(reviewer)
    html = client.get("/review/support-replies/").content.decode()
    assert "<ins>I am sorry. </ins>" in html
    assert "Needs edits" in html
    response = client.post(f"/review/support-replies/{task.pk}/", {"annotation": given.pk, "decision": "accept"})
    assert response["Location"] == f"/review/support-replies/?after={task.pk}"
    task.refresh_from_db()
    assert task.settled_annotation == given


def test_a_fix_is_posted_with_its_controls(project, work, reviewer, client_of):
    given, _ = work
    url = f"/review/support-replies/{given.task_id}/"
    body = {"annotation": given.pk, "decision": "fix", "c-reply": "Fixed words", "c-quality": "good", "comment": "tone"}
    assert client_of(reviewer).post(url, body).status_code == 302
    review = Review.objects.get()
    assert (review.decision, review.comment) == ("fix", "tone")
    assert review.fixed_annotation.result[0]["value"]["text"] == ["Fixed words"]


def test_a_refused_decision_keeps_what_was_typed(project, work, reviewer, client_of):
    given, _ = work
    client, url = client_of(reviewer), f"/review/support-replies/{given.task_id}/"
    fix = {"annotation": given.pk, "decision": "fix", "c-reply": "Half a fix", "c-quality": "", "comment": "kept"}
    response = client.post(url, fix)
    assert response.status_code == 400
    assert "Half a fix</textarea>" in response.content.decode()
    assert "kept</textarea>" in response.content.decode()
    assert client.post(url, {"annotation": given.pk, "decision": "reject"}).status_code == 400
    assert client.post(url, {"annotation": "x", "decision": "accept"}).status_code == 404
    assert not Review.objects.exists()


def test_the_second_reviewer_is_told_and_led_on(project, work, reviewer, lead, client_of):
    given, _ = work
    services.review_settle(annotation_id=given.pk, reviewer=lead, decision="accept")
    response = client_of(reviewer).post(
        f"/review/support-replies/{given.task_id}/", {"annotation": given.pk, "decision": "accept"}, follow=True
    )
    assert "lea was first" in response.content.decode()
    assert "Nothing waits for your review" in response.content.decode()


def test_several_answers_stand_in_columns(project, stock, annotator, annotator2, reviewer, answer, client_of):
    Project.objects.update(overlap=2)
    project.refresh_from_db()
    stock(1)
    submit(project, annotator, answer)
    submit(project, annotator2, answer)
    html = client_of(reviewer).get("/review/support-replies/").content.decode()
    assert "rv-columns" in html
    assert html.count('class="rv-answer"') == 2


def test_the_queue_is_paged_without_a_query_each(project, stock, annotator, reviewer, answer, client_of,
                                                 django_assert_max_num_queries):
    stock(4)
    for _ in range(4):
        submit(project, annotator, answer)
    client = client_of(reviewer)
    with django_assert_max_num_queries(10):
        html = client.get("/review/support-replies/queue/").content.decode()
    assert html.count('class="row-link"') == 4


def test_personal_data_found_in_the_original_never_reaches_the_pages(project, source, annotator, reviewer, lead, answer,
                                                                     client_of):
    from flywheel.capture.models import Example

    (example,) = make_examples(source, 1)
    secret = [dict(MESSAGES[0], text="Write to jane@example.org"), MESSAGES[1]]
    Example.objects.filter(pk=example.pk).update(conversation=secret, subject_line="jane@example.org")
    services.tasks_make(project=project)
    pages = [client_of(annotator).get("/annotate/support-replies/")]
    given = submit(project, annotator, answer, submission_id=uuid4())
    pages += [client_of(reviewer).get("/review/support-replies/"),
              client_of(lead).get(f"/projects/support-replies/tasks/{given.task_id}/")]
    for page in pages:
        assert page.status_code == 200
        assert "jane@" not in page.content.decode()


def test_texts_of_every_direction_and_headers_and_a_far_reply_are_shown(source, lead, annotator, client_of):
    xml = ('<View><Header value="Read all of it"/><Paragraphs name="c" value="$conversation"/>'
           '<TextArea name="a" toName="c"/></View>')
    made = services.project_create(by=lead, name="Far", label_config=xml, sources=[source])
    services.membership_set(project=made, user=annotator, role="annotator")
    said = {"role": "customer", "author": "Customer", "at": "2025-03-01T09:05:00Z", "text": "مرحبا"}
    make_examples(source, 1, messages=[*[said] * 12, {"role": "agent", "author": "Mia", "at": None, "text": "שלום"}])
    Example.objects.update(context_length=12)
    services.tasks_make(project=made)
    page = client_of(annotator).get("/annotate/far/").content.decode()
    assert '<h3 class="task-header">Read all of it</h3>' in page
    assert page.count('<div class="bubble-text" dir="auto">') == 13
    assert '<a href="#reply-to-correct">' in page
    assert page.count('id="reply-to-correct"') == 1
    assert "01 Mar 2025, 09:05</time>" in page
    assert "<span>Customer</span>" not in page
    assert "<span>Mia</span>" in page


def test_who_gave_up_a_rejected_answer_may_judge_the_others_on_every_page(
    project, stock, lead, annotator, reviewer, answer, client_of,
):
    (task,) = stock(1)
    services.review_settle(annotation_id=submit(project, lead, answer).pk, reviewer=reviewer, decision="reject", comment="Fix.")
    services.task_skip(assignment_id=services.task_next(project=project, user=lead).pk, user=lead, reason="Not for me")
    waiting = submit(project, annotator, answer)
    client, page = client_of(lead), f"/review/support-replies/{task.pk}/"
    pages = [client.get("/review/support-replies/"), client.get(page),
             client.post(page, {"annotation": waiting.pk, "decision": "reject", "comment": ""})]
    for shown in pages:
        assert "data-accept" in shown.content.decode()
        assert "You answered this task yourself" not in shown.content.decode()
    client.post(page, {"annotation": waiting.pk, "decision": "accept"})
    task.refresh_from_db()
    assert task.state == "settled"
