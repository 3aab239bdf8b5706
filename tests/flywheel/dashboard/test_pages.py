"""Every page by every role, by a stranger and signed out; bounded queries; a strict content policy."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django.fixtures import DjangoAssertNumQueries

from annotation.models import Project
from flywheel.capture.models import Capture
from flywheel.core.models import User
from flywheel.runs.models import TrainingRun
from flywheel.ui import navigation
from flywheel.work.models import Job
from tests.conftest import make_user, squeezed
from tests.flywheel.dashboard.conftest import Turn, count_all

ClientOf = Callable[[User], Client]
ROLES = ("annotator", "reviewer", "lead", "steward", "admin")

OPEN_TO = {
    "/": {*ROLES, "stranger"},
    "/account/": {*ROLES, "stranger"},
    "/tokens/": {*ROLES, "stranger"},
    "/jobs/": {*ROLES, "stranger"},
    "/wheel/": {"lead", "steward", "admin"},
    "/people/": {"admin"},
    "/people/new/": {"admin"},
}


NO_SUCH = "00000000-0000-4000-8000-000000000000"


@pytest.mark.django_db
@pytest.mark.parametrize("role", [*ROLES, "stranger"])
@pytest.mark.parametrize("path", OPEN_TO)
def test_each_page_is_open_to_its_roles_only(
    path: str, role: str, request: pytest.FixtureRequest, client_of: ClientOf
) -> None:
    answer = client_of(request.getfixturevalue(role)).get(path)
    assert answer.status_code == (200 if role in OPEN_TO[path] else 403)


@pytest.mark.django_db
@pytest.mark.parametrize("path", [*OPEN_TO, "/people/1/", f"/jobs/{NO_SUCH}/", f"/examples/{NO_SUCH}/"])
def test_nobody_is_sent_to_sign_in(path: str, client: Client) -> None:
    answer = client.get(path)
    assert answer.status_code == 302
    assert answer["Location"] == f"/accounts/login/?next={path}"


@pytest.mark.parametrize("role", ["annotator", "reviewer", "lead", "steward", "stranger"])
@pytest.mark.parametrize("act", ["deactivate", "activate", "password", "projects", "projects/1/remove"])
def test_only_an_admin_changes_people(
    act: str, role: str, request: pytest.FixtureRequest, client_of: ClientOf, admin: User
) -> None:
    answer = client_of(request.getfixturevalue(role)).post(f"/people/{admin.pk}/{act}/", {"confirm": "ada"})
    assert answer.status_code == 403
    admin.refresh_from_db()
    assert admin.is_active


def test_a_person_without_role_is_told_whom_to_ask(stranger: User, client_of: ClientOf) -> None:
    assert "Ask an admin to give you one" in client_of(stranger).get("/").content.decode()


@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("annotator", ["Your next task", "/annotate/replies/", "Done today"]),
        ("reviewer", ["Nothing waits for review"]),
        ("lead", ["on time, and good enough", "Replies", "0.1 a day"]),
        ("steward", ["No consent record", "In quarantine", "Refused for fine-tuning in EU"]),
        ("admin", ["The wheel", "run-1", "No budget is set"]),
    ],
)
def test_each_home_answers_its_role(
    role: str, words: list[str], request: pytest.FixtureRequest, client_of: ClientOf, turn: Turn, member: Project
) -> None:
    count_all()
    page = client_of(request.getfixturevalue(role)).get("/").content.decode()
    for word in words:
        assert word in page


@pytest.mark.django_db
@pytest.mark.parametrize("role", ROLES)
def test_a_first_home_says_what_to_do_next(role: str, request: pytest.FixtureRequest, client_of: ClientOf) -> None:
    page = client_of(request.getfixturevalue(role)).get("/").content.decode()
    assert 'class="empty' in page


def test_several_roles_see_several_sections(db: None, client_of: ClientOf, turn: Turn) -> None:
    page = client_of(make_user("max", "annotator", "steward")).get("/").content.decode()
    assert 'id="section-annotator"' in page
    assert 'id="section-steward"' in page
    assert 'id="section-admin"' not in page


def test_the_home_of_all_roles_asks_a_bounded_number_of_questions(
    client_of: ClientOf, turn: Turn, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    count_all()
    client = client_of(make_user("max", *ROLES))
    with django_assert_max_num_queries(36):
        client.get("/")


def test_the_wheel_is_read_from_gauges_alone(
    admin: User, client_of: ClientOf, turn: Turn, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    count_all()
    client = client_of(admin)
    with django_assert_max_num_queries(7):
        page = client.get("/wheel/").content.decode()
    assert "In a snapshot" in page
    assert "Counted" in page
    assert "gen-1" in page


def test_each_number_of_the_wheel_opens_its_list(admin: User, client_of: ClientOf, turn: Turn) -> None:
    Capture.objects.update(status=Capture.Status.RECEIVED)
    count_all()
    client = client_of(admin)
    page = client.get("/wheel/").content.decode()
    links = set(re.findall(r'href="(/[^"#]*)"', page.split("<main")[1]))
    assert {"/projects/replies/tasks/?state=open", "/projects/replies/tasks/?state=settled", "/examples/",
            "/models/?status=champion", "/runs/?status=done", "/deliveries/?status=received"} <= links
    for path in links:
        assert client.get(path).status_code == 200, path


def test_an_uncounted_wheel_says_so(admin: User, client_of: ClientOf) -> None:
    assert "Nothing has been counted yet" in client_of(admin).get("/wheel/").content.decode()


def test_navigation_shows_what_the_role_may_open(annotator: User, admin: User, client_of: ClientOf) -> None:
    assert 'href="/people/"' not in client_of(annotator).get("/").content.decode()
    assert 'href="/people/"' in client_of(admin).get("/").content.decode()


@pytest.mark.parametrize("role", ROLES)
def test_every_item_of_the_navigation_opens(
    role: str, request: pytest.FixtureRequest, client_of: ClientOf, turn: Turn, member: Project
) -> None:
    client = client_of(request.getfixturevalue(role))
    entries = [entry for group in client.get("/").context["nav"]() for entry in group["entries"]]
    # A chooser with one choice leads straight to it.
    shut = [entry["url"] for entry in entries if client.get(entry["url"], follow=True).status_code != 200]
    assert shut == []


@pytest.mark.django_db
@pytest.mark.parametrize("key", navigation.PATHS)
def test_every_page_that_home_leads_to_exists(key: str) -> None:
    assert navigation.link(key) == navigation.PATHS[key]


# --- content policy -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/wheel/", "/people/", "/tokens/", "/jobs/"])
def test_pages_carry_a_strict_content_policy(path: str, admin: User, client_of: ClientOf) -> None:
    answer = client_of(admin).get(path)
    policy = answer["Content-Security-Policy"]
    assert "unsafe-inline" not in policy
    assert "unsafe-eval" not in policy
    nonce = re.search(r"'nonce-([^']+)'", policy)
    assert nonce is not None
    scripts = re.findall(r"<script[^>]*>", answer.content.decode())
    assert scripts
    assert all(f'nonce="{nonce.group(1)}"' in script for script in scripts)


def test_the_nonce_is_new_for_each_answer(admin: User, client_of: ClientOf) -> None:
    client = client_of(admin)
    assert client.get("/")["Content-Security-Policy"] != client.get("/")["Content-Security-Policy"]


# --- one example's chain --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "status"), [("steward", 200), ("admin", 200), ("reviewer", 200), ("lead", 200), ("annotator", 403),
                         ("stranger", 403)],
)
def test_the_chain_is_open_to_those_who_decide(
    role: str, status: int, request: pytest.FixtureRequest, client_of: ClientOf, turn: Turn, member: Project
) -> None:
    assert client_of(request.getfixturevalue(role)).get(f"/examples/{turn.taught.uid}/").status_code == status


def test_a_reviewer_of_another_project_finds_no_such_example(reviewer: User, client_of: ClientOf, turn: Turn) -> None:
    assert client_of(reviewer).get(f"/examples/{turn.taught.uid}/").status_code == 404


def test_a_lead_of_another_project_sees_the_example_and_nothing_that_others_made_of_it(
    lead: User, client_of: ClientOf, turn: Turn
) -> None:
    page = client_of(lead).get(f"/examples/{turn.taught.uid}/").content.decode()
    assert "acme" in page
    for words in ("Good.", "leaf", "run-1", "gen-1", "1 answer"):
        assert words not in page


def test_the_chain_shows_every_station(
    steward: User, client_of: ClientOf, turn: Turn, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    client = client_of(steward)
    with django_assert_max_num_queries(16):
        page = client.get(f"/examples/{turn.taught.uid}/").content.decode()
    for word in ("acme", "1 piece", "1 answer", "Accepted", "Cleared", "snap", "run-1", "gen-1", "Good."):
        assert word in page


def test_the_chain_escapes_what_customers_wrote_and_chips_what_was_redacted(
    steward: User, client_of: ClientOf, turn: Turn
) -> None:
    page = client_of(steward).get(f"/examples/{turn.taught.uid}/").content.decode()
    assert "<script>alert" not in page
    assert '<span class="pii" title="Personal data, redacted">person 1</span>' in page


def test_the_chain_of_a_new_example_says_what_is_missing(steward: User, client_of: ClientOf, turn: Turn) -> None:
    page = client_of(steward).get(f"/examples/{turn.waiting.uid}/").content.decode()
    assert "has no answer yet" in page
    assert "No consent record: subject acme/c. To fix: record one." in page
    assert "station-stopped" in page
    assert "No model has learned from it." in page


# --- jobs -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def job(lead: User) -> Job:
    return Job.objects.create(
        kind="snapshot.build", visible=True, title="Freeze <b>", requested_by=lead, total=10, done=4
    )


def test_one_sees_ones_own_jobs_and_deciders_see_all(
    job: Job, lead: User, steward: User, annotator: User, client_of: ClientOf
) -> None:
    for user, count in ((lead, 1), (steward, 1), (annotator, 0)):
        assert client_of(user).get("/jobs/").content.decode().count(f'id="job-{job.uid}"') == count


def test_a_lead_watches_the_snapshots_of_the_projects_led_and_of_no_other(
    turn: Turn, member: Project, steward: User, lead: User, client_of: ClientOf
) -> None:
    snapshot = turn.model.run.snapshot
    job = Job.objects.create(
        kind="snapshot.build", visible=True, title="Freeze", requested_by=steward, object_ref=f"snapshot:{snapshot.uid}"
    )
    other = make_user("other-lead", "lead")
    assert client_of(lead).get(f"/jobs/{job.uid}/").status_code == 200
    assert client_of(other).get(f"/jobs/{job.uid}/").status_code == 404
    assert client_of(other).post(f"/jobs/{job.uid}/cancel/").status_code == 404
    job.refresh_from_db()
    assert job.cancel_requested_at is None


def test_a_jobs_row_refreshes_itself_until_it_has_ended(job: Job, lead: User, client_of: ClientOf) -> None:
    client = client_of(lead)
    row = client.get(f"/jobs/{job.uid}/", headers={"X-Requested-With": "fragment"}).content.decode()
    assert "data-refresh=" in row
    assert "<html" not in row
    Job.objects.filter(pk=job.pk).update(status="done", finished_at=job.created_at, summary="10 rows frozen.")
    row = client.get(f"/jobs/{job.uid}/", headers={"X-Requested-With": "fragment"}).content.decode()
    assert "data-refresh=" not in row
    assert "10 rows frozen." in row


def test_a_stranger_can_neither_see_nor_cancel_a_job(job: Job, stranger: User, client_of: ClientOf) -> None:
    client = client_of(stranger)
    assert client.get(f"/jobs/{job.uid}/").status_code == 404
    assert client.post(f"/jobs/{job.uid}/cancel/").status_code == 404
    job.refresh_from_db()
    assert job.cancel_requested_at is None


def test_cancelling_a_job_asks_it_to_stop(job: Job, lead: User, client_of: ClientOf) -> None:
    assert client_of(lead).post(f"/jobs/{job.uid}/cancel/").status_code == 302
    job.refresh_from_db()
    assert job.cancel_requested_at is not None


def test_an_ended_job_cannot_be_cancelled(job: Job, lead: User, client_of: ClientOf) -> None:
    Job.objects.filter(pk=job.pk).update(status="done", finished_at=job.created_at)
    answer = client_of(lead).post(f"/jobs/{job.uid}/cancel/")
    assert answer.status_code == 422
    assert "has already ended" in answer.content.decode()


def test_a_run_is_listed_with_its_progress_and_cancelled_by_whom_its_rule_allows(
    turn: Turn, member: Project, lead: User, steward: User, admin: User, client_of: ClientOf
) -> None:
    run = turn.model.run
    TrainingRun.objects.filter(pk=run.pk).update(
        status="queued", finished_at=None, done=3, total=9, unit="steps", object_ref=f"run:{run.uid}"
    )
    address = f"/jobs/{run.uid}/cancel/"
    for user, may_cancel in ((lead, False), (steward, False), (admin, True)):
        page = client_of(user).get("/jobs/?kind=run").content.decode()
        assert "3 of 9 steps" in page
        assert f'href="/runs/{run.uid}/"' in page
        assert (address in page) == may_cancel
    assert client_of(steward).post(address).status_code == 403
    assert client_of(admin).post(address).status_code == 302
    run.refresh_from_db()
    assert run.status == "cancelled"


def test_jobs_are_found_by_their_kind(job: Job, lead: User, client_of: ClientOf) -> None:
    client = client_of(lead)
    assert f'id="job-{job.uid}"' in client.get("/jobs/?kind=snapshot.build").content.decode()
    assert f'id="job-{job.uid}"' not in client.get("/jobs/?kind=run").content.decode()


def test_follow_up_work_is_not_listed(steward: User, client_of: ClientOf) -> None:
    job = Job.objects.create(kind="capture.process", requested_by=steward)
    assert str(job.uid) not in client_of(steward).get("/jobs/").content.decode()
    assert client_of(steward).get(f"/jobs/{job.uid}/").status_code == 404


# --- errors ---------------------------------------------------------------------------------------------------------


def test_error_pages_say_what_happened_and_what_to_do(annotator: User, client_of: ClientOf) -> None:
    client = client_of(annotator)
    assert "This page is for admins. Ask an admin" in squeezed(client.get("/people/"))
    assert "This page does not exist" in client.get("/nowhere/").content.decode()


def test_a_missing_person_is_a_404_with_its_sentence(admin: User, client_of: ClientOf) -> None:
    answer = client_of(admin).get("/people/424242/")
    assert answer.status_code == 404
    assert "person 424242 does not exist" in answer.content.decode()
