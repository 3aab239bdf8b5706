"""When the server is away in the midst of a submit, a clock is wrong, or the project changes under an open page."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from annotation import services
from annotation.models import Annotation, Assignment
from tests.annotation.browser.conftest import shown
from tests.annotation.test_services import submit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
REPLY = ".control-reply textarea"
STATE = "[data-state]"


def opened(page: Page) -> Page:
    page.goto("/annotate/support-replies/")
    page.check("[data-control=quality] input[value=good]")
    return page


def test_nothing_can_be_typed_into_an_answer_that_is_on_its_way(project, stock, annotator, page_of):
    stock(2)
    page = opened(page_of(annotator))
    held: list[Route] = []
    page.route("**/submit/", lambda route: held.append(route))
    page.fill(REPLY, "What is sent.")
    with page.expect_request("**/submit/"):
        page.keyboard.press("Control+Enter")
    page.keyboard.type(" What came late.")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    expect(page.locator(REPLY)).to_have_value("What is sent.")
    expect(page.locator("input[value=good]")).to_be_checked()
    held.pop().continue_()
    expect(page.locator("[data-done]")).to_have_text("1")
    assert Annotation.objects.get().result[0]["value"] == {"text": ["What is sent."]}


def test_after_a_refused_submit_one_types_on_where_one_was(project, stock, annotator, page_of):
    stock(1)
    page = opened(page_of(annotator))
    page.route("**/submit/", lambda route: route.fulfill(
        status=400, content_type="application/json", body='{"error": {"code": "invalid", "message": "no", "field": ""}}'))
    page.fill(REPLY, "One.")
    page.keyboard.press("Control+Enter")
    expect(page.locator(STATE)).to_have_text("no")
    page.keyboard.type(" Two.")
    expect(page.locator(REPLY)).to_have_value("One. Two.")


def test_a_next_task_that_does_not_come_is_said_and_can_be_asked_for_again(project, stock, annotator, page_of):
    stock(1)
    page = opened(page_of(annotator))
    later = stock(1)[0]
    # Refused at once, so that the page does not try again first.
    page.route("**/annotate/support-replies/task/", lambda route: route.fulfill(status=403, body="no"))
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-stage]")).to_contain_text("The next task did not come")
    assert Annotation.objects.count() == 1
    page.unroute("**/annotate/support-replies/task/")
    expect(page.get_by_role("link", name="Look again")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_selector("form.wb-task")
    assert shown(page) == later.pk


@pytest.mark.parametrize("hours", [3, -3])
def test_a_wrong_clock_of_the_computer_ends_no_lease(project, stock, annotator, page_of, hours):
    stock(2)
    page = page_of(annotator)
    page.add_init_script(f"const now = Date.now.bind(Date); Date.now = () => now() + {hours} * 3600e3;")
    page.goto("/annotate/support-replies/")
    expect(page.locator("[data-lease]")).to_have_text("Kept for you 15 min")


def test_times_are_utc_wherever_the_person_sits(project, stock, annotator, page_of):
    stock(1)
    page = page_of(annotator, timezone_id="Pacific/Kiritimati")
    page.goto("/annotate/support-replies/")
    page.fill(REPLY, "Now.")
    expect(page.locator(STATE)).to_contain_text("Draft saved")
    at = Assignment.objects.get().draft_saved_at
    expect(page.locator(STATE)).to_have_text(f"Draft saved {at:%H:%M:%S} UTC")


@pytest.mark.parametrize(("controls", "says"), [
    ('<TextArea name="reply" toName="t"/>', "'quality', which is not a control"),
    ('<TextArea name="reply" toName="t"/><Choices name="quality" toName="t"><Choice value="good"/></Choices>'
     '<Rating name="stars" toName="t" required="true"/>', "Stars is required and empty"),
])
def test_labels_that_were_changed_under_an_open_page_ask_for_a_reload_which_keeps_the_words(
    project, stock, annotator, lead, page_of, controls, says,
):
    stock(1)
    page = opened(page_of(annotator))
    page.fill(REPLY, "Kept.")
    config = f'<View><Text name="t" value="$text"/>{controls}</View>'.replace('"t"', '"conversation"')
    services.project_change(project=project, by=lead, label_config=config)
    page.keyboard.press("Control+Enter")
    expect(page.locator(STATE)).to_contain_text(says)
    expect(page.locator(STATE)).to_contain_text("Reload the page to see the project's labels as they are now")
    page.reload()
    expect(page.locator(REPLY)).to_have_value("Kept.")
    if "stars" in controls:
        page.locator("[data-control=stars] .rating").last.click()
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-done]")).to_have_text("1")


def test_line_breaks_at_the_start_of_a_reply_stay(project, stock, annotator, page_of: Any):
    stock(1)
    page = opened(page_of(annotator))
    page.fill(REPLY, "\n\n  Indented.")
    expect(page.locator(STATE)).to_contain_text("Draft saved")
    page.reload()
    expect(page.locator(REPLY)).to_have_value("\n\n  Indented.")


@pytest.mark.parametrize("address", ["/annotate/support-replies/", "/review/support-replies/"])
def test_the_list_of_keys_opens_and_closes_before_the_scripts_are_there(
    project, stock, annotator, lead, answer, page_of, address,
):
    stock(2)
    submit(project, annotator, answer)
    page = page_of(lead)
    page.route("**/*.js", lambda route: route.continue_() if "theme" in route.request.url else route.abort())
    page.goto(address)
    page.get_by_role("button", name="Keys").click()
    expect(page.locator("dialog#keys")).to_be_visible()
    page.get_by_role("button", name="Close", exact=True).click()
    expect(page.locator("dialog#keys")).to_be_hidden()
