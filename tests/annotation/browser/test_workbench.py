"""The workbench in a real browser: keys, drafts, retries, labels by keyboard, no scroll away."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import expect

from annotation import services
from annotation.models import Annotation, Assignment
from tests.annotation.browser.conftest import eventually, sent_to, shown
from tests.annotation.conftest import make_examples
from tests.annotation.test_views import FACTS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_person_works_with_the_keyboard_alone(project, stock, annotator, page_of):
    tasks = stock(3)
    page = page_of(annotator)
    page.goto("/annotate/support-replies/")
    assert shown(page) == tasks[0].pk
    page.focus(".control-reply textarea")
    page.keyboard.type("Dear customer, ")
    expect(page.locator("[data-diff-text] ins")).to_have_text("Dear customer, ")
    expect(page.locator("[data-state]")).to_contain_text("Draft saved")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-error]:visible")).to_contain_text("Needed before you can submit")
    page.keyboard.press("Alt+a")
    expect(page.locator("[data-diff-title]")).to_have_text("Same as the suggestion")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    asked = sent_to(page, "/task/")
    page.keyboard.press("Control+Enter")
    expect(page.locator("form.wb-task")).to_have_attribute("data-task", str(tasks[1].pk))
    expect(page.locator("[data-done]")).to_have_text("1")
    # The next task was there: it need not be asked for.
    assert asked == []
    given = Annotation.objects.get()
    assert (given.suggestion_use, given.lead_time_seconds is not None) == ("accepted", True)
    page.keyboard.press("Alt+z")
    expect(page.locator("form.wb-task")).to_have_attribute("data-task", str(tasks[0].pk))
    given.refresh_from_db()
    assert given.state == "undone"


def test_the_arrows_move_between_held_tasks_and_keep_drafts(project, stock, annotator, page_of):
    first, second, _ = stock(3)
    page = page_of(annotator)
    page.goto("/annotate/support-replies/")
    page.focus(".control-reply textarea")
    page.keyboard.type("Half a ")
    page.keyboard.press("Alt+ArrowRight")
    expect(page.locator("form.wb-task")).to_have_attribute("data-task", str(second.pk))
    page.keyboard.press("Alt+ArrowLeft")
    expect(page.locator("form.wb-task")).to_have_attribute("data-task", str(first.pk))
    assert page.input_value(".control-reply textarea").startswith("Half a ")


def test_text_typed_while_the_server_is_away_is_never_lost(project, stock, annotator, page_of):
    stock(1)
    page = page_of(annotator)
    page.goto("/annotate/support-replies/")
    page.route("**/draft/", lambda route: route.abort())
    page.focus(".control-reply textarea")
    page.keyboard.type("Precious words. ")
    expect(page.locator("[data-state]")).to_contain_text("kept in this browser")
    page.reload()
    expect(page.locator(".control-reply textarea")).to_have_value("Precious words. Please send it back to us.")
    page.unroute("**/draft/")
    expect(page.locator("[data-state]")).to_contain_text("Draft saved")
    assert "Precious" in Assignment.objects.get().draft[0]["value"]["text"][0]


def test_a_submit_whose_answer_was_lost_is_sent_again_and_is_one_annotation(project, stock, annotator, page_of):
    stock(2)
    page = page_of(annotator)
    page.goto("/annotate/support-replies/")
    lost = []

    def lose_the_first_answer(route: Any) -> None:
        if lost:
            route.continue_()
            return
        lost.append(route.fetch().status)
        route.abort()

    page.route("**/submit/", lose_the_first_answer)
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-done]")).to_have_text("1")
    assert lost == [201]
    assert Annotation.objects.count() == 1


def test_skipping_with_a_reason_brings_the_next_task(project, stock, annotator, page_of):
    _, second = stock(2)
    page = page_of(annotator)
    page.goto("/annotate/support-replies/")
    page.keyboard.press("Alt+s")
    page.get_by_label("Another reason").fill("I know this customer")
    page.keyboard.press("Enter")
    expect(page.locator("form.wb-task")).to_have_attribute("data-task", str(second.pk))
    assert Assignment.objects.get(status="skipped").skip_reason == "I know this customer"


def test_leaving_the_page_gives_the_tasks_back(project, stock, annotator, page_of):
    stock(2)
    page = page_of(annotator)
    with page.expect_response("**/ahead/") as ahead:
        page.goto("/annotate/support-replies/")
    ahead.value.finished()
    # One turn of the page's loop, in which it takes the answer up.
    page.evaluate("() => new Promise((done) => setTimeout(done))")
    page.goto("/healthz")
    eventually(page, lambda: not Assignment.objects.filter(status="active").exists())


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_the_bar_is_always_in_view_and_nothing_is_wider_than_the_screen(project, source, annotator, page_of, size):
    turns = [{"role": "customer", "author": "C", "at": None, "text": "A very long complaint. " * 60}] * 6
    make_examples(source, 1, messages=[*turns, {"role": "agent", "author": "A", "at": None, "text": "Sorry. " * 40}])
    services.tasks_make(project=project)
    page = page_of(annotator, *size)
    page.goto("/annotate/support-replies/")
    for selector in ("[data-submit]", "[data-skip]", "[data-undo]"):
        expect(page.locator(selector)).to_be_in_viewport()
    if size[0] > 1_000:
        expect(page.locator(".control-reply textarea")).to_be_in_viewport()
        expect(page.locator("input[value=good]")).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]


def test_words_are_labelled_by_keyboard_and_by_mouse(project, source, lead, annotator, page_of):
    made = services.project_create(by=lead, name="Facts", label_config=FACTS, sources=[source])
    services.membership_set(project=made, user=annotator, role="annotator")
    make_examples(source, 1)
    services.tasks_make(project=made)
    page = page_of(annotator)
    page.goto("/annotate/facts/")
    page.focus(".wb-text-labels")
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowRight", "1"):
        page.keyboard.press(key)
    expect(page.locator(".spans li")).to_have_count(1)
    page.get_by_text("kettle", exact=True).dblclick()
    page.click("[data-label=P]")
    expect(page.locator(".spans li")).to_have_count(2)
    page.locator(".rating").nth(3).click()
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-nothing]")).to_be_visible()
    spans = [item["value"]["text"] for item in Annotation.objects.get().result if item["type"] == "labels"]
    assert spans == [": My", "kettle"]


def test_the_page_submits_without_scripts(project, stock, annotator, page_of):
    _, second = stock(2)
    page = page_of(annotator, java_script_enabled=False)
    page.goto("/annotate/support-replies/")
    page.check("input[value=good]")
    page.click("[data-submit]")
    assert shown(page) == second.pk
    assert Annotation.objects.count() == 1
