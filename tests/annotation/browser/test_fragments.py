"""Parts of a page that the server renders anew: rows that refresh themselves, previews that follow what is typed."""

from __future__ import annotations

import pytest
from django.contrib.sessions.models import Session
from playwright.sync_api import Route, expect

from flywheel.core.models import User
from flywheel.work.models import Job

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def jobs_make(lead: User, count: int = 1) -> list[Job]:
    return [
        Job.objects.create(kind="snapshot.build", visible=True, title=f"Freeze {n}", requested_by=lead, total=10, done=4,
                           status="running")
        for n in range(count)
    ]


def test_a_jobs_row_follows_the_work_keeps_the_focus_and_stops_at_the_end(lead, page_of):
    (job,) = jobs_make(lead)
    page = page_of(lead)
    page.goto("/jobs/")
    cancel = page.get_by_role("button", name="Cancel Freeze 0")
    cancel.focus()
    Job.objects.update(done=7)
    row = page.locator(f"#job-{job.uid}")
    expect(row).to_contain_text("7 of 10")
    expect(cancel).to_be_focused()
    Job.objects.update(status="done", finished_at=job.created_at, summary="10 rows frozen.")
    expect(row).to_contain_text("10 rows frozen.")
    expect(page.locator("[data-refresh]")).to_have_count(0)


def test_a_server_that_is_away_is_said_once_and_the_rows_go_on_by_themselves(lead, page_of):
    first, second = jobs_make(lead, 2)
    page = page_of(lead)
    page.goto("/jobs/")
    asked: list[str] = []

    def away(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    page.route("**/jobs/*/", away)
    for job in (first, second, first, second):
        with page.expect_event("requestfailed", lambda request, job=job: str(job.uid) in request.url):
            pass
    expect(page.locator("#toasts > *")).to_have_count(1)
    expect(page.locator("#toasts")).to_contain_text("did not answer")
    page.unroute("**/jobs/*/")
    Job.objects.update(done=9)
    for job in (first, second):
        expect(page.locator(f"#job-{job.uid}")).to_contain_text("9 of 10")


def test_when_the_session_ends_the_whole_page_goes_to_sign_in_and_back(lead, page_of):
    jobs_make(lead)
    page = page_of(lead)
    page.goto("/jobs/?status=running")
    Session.objects.all().delete()
    page.wait_for_url("**/accounts/login/?next=%2Fjobs%2F%3Fstatus%3Drunning")
    expect(page.locator("input[name=login]")).to_be_visible()


def test_previews_follow_what_is_typed_and_say_what_is_wrong(project, lead, page_of):
    page = page_of(lead)
    page.goto("/projects/support-replies/settings/")
    config = page.locator("#config-preview")
    expect(config.locator("[data-control=quality]")).to_be_visible()
    page.fill("#id_guidelines", "Be **kind**.")
    expect(page.locator("#guidelines-preview")).to_have_text("Be kind.")
    page.fill("#id_label_config", "<View>")
    expect(config.get_by_role("alert")).to_be_visible()
    # Longer than an address may be.
    page.fill("#id_guidelines", "word " * 4_000 + "*end*")
    expect(page.locator("#guidelines-preview em")).to_have_text("end")


def test_an_answer_about_what_was_typed_earlier_never_replaces_a_later_one(project, lead, page_of):
    page = page_of(lead)
    page.goto("/projects/support-replies/settings/")
    held: list[Route] = []
    page.route("**/preview/guidelines/", lambda route: held.append(route) if not held else route.continue_())
    with page.expect_request("**/preview/guidelines/"):
        page.fill("#id_guidelines", "*first*")
    # The page gives up the first request, so that its answer cannot arrive any more.
    with page.expect_event("requestfailed", lambda request: request == held[0].request):
        page.fill("#id_guidelines", "*second*")
    expect(page.locator("#guidelines-preview")).to_have_text("second")


def test_a_preview_that_failed_is_asked_for_again_with_the_next_key(project, lead, page_of):
    page = page_of(lead)
    page.goto("/projects/support-replies/settings/")
    page.route("**/preview/guidelines/", lambda route: route.abort())
    page.fill("#id_guidelines", "*typed*")
    expect(page.locator("#toasts")).to_contain_text("Nothing was lost")
    page.unroute("**/preview/guidelines/")
    page.locator("#id_guidelines").press_sequentially(" ")
    expect(page.locator("#guidelines-preview")).to_have_text("typed")
