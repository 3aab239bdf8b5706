"""Keys of the workbench: one accepts, a held one acts once, undo works to the last; guidelines are shown beside the work."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from annotation import services
from annotation.models import Annotation, Assignment, Suggestion
from tests.annotation.browser.conftest import shown
from tests.annotation.conftest import make_examples

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
REPLY = ".control-reply textarea"


def test_enter_accepts_the_suggestion_and_what_stood_there_can_be_brought_back(project, stock, annotator, page_of):
    _, second = stock(2)
    page = page_of(annotator)
    page.goto("/annotate/support-replies/")
    page.locator(REPLY).fill("Something else that took a while to write")
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    expect(page.locator(REPLY)).to_have_value("Please send it back to us.")
    expect(page.locator("input[value=good]")).to_be_focused()
    page.keyboard.press("e")
    page.keyboard.press("Control+z")
    expect(page.locator(REPLY)).to_have_value("Something else that took a while to write")
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    expect(page.locator("[data-submit]")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("form.wb-task")).to_have_attribute("data-task", str(second.pk))
    assert Annotation.objects.get().suggestion_use == "accepted"


def test_accepting_without_a_suggestion_takes_nothing_away(project, stock, annotator, page_of):
    stock(1)
    Suggestion.objects.all().delete()
    page = page_of(annotator)
    page.goto("/annotate/support-replies/")
    page.locator(REPLY).fill("My own words")
    page.keyboard.press("Alt+a")
    expect(page.locator("#toasts")).to_contain_text("This task has no suggestion")
    expect(page.locator(REPLY)).to_have_value("My own words")


def test_a_submit_key_that_is_held_down_answers_one_task(source, lead, annotator, page_of):
    xml = '<View><Text name="t" value="$text"/><TextArea name="a" toName="t"/></View>'
    made = services.project_create(by=lead, name="Quick", label_config=xml, sources=[source])
    services.membership_set(project=made, user=annotator, role="annotator")
    make_examples(source, 3)
    services.tasks_make(project=made)
    page = page_of(annotator)
    page.goto("/annotate/quick/")
    first = shown(page)
    page.keyboard.down("Control")
    page.keyboard.down("Enter")
    expect(page.locator("form.wb-task")).not_to_have_attribute("data-task", str(first))
    for _ in range(5):
        page.keyboard.down("Enter")  # a repeat, as long as it is not let go
    page.keyboard.up("Enter")
    expect(page.locator("[data-done]")).to_have_text("1")
    assert Annotation.objects.count() == 1
    page.keyboard.press("Enter")
    expect(page.locator("[data-done]")).to_have_text("2")


def test_the_last_answer_is_undone_by_key_when_no_task_is_left(project, stock, annotator, page_of):
    (only,) = stock(1)
    page = page_of(annotator)
    page.goto("/annotate/support-replies/")
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-nothing]")).to_be_visible()
    page.reload()
    page.keyboard.press("?")
    expect(page.locator("dialog#keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Alt+z")
    expect(page.locator("form.wb-task")).to_have_attribute("data-task", str(only.pk))


@pytest.mark.parametrize("width", [1280, 1199, 960, 959, 640])
def test_guidelines_stand_beside_the_work_and_stay_while_one_types(project, stock, annotator, page_of, width):
    stock(1)
    page = page_of(annotator, width)
    page.goto("/annotate/support-replies/")
    page.keyboard.press("g")
    panel = page.locator("#guidelines")
    expect(panel).to_be_visible()
    page.click(REPLY)
    page.keyboard.type("Dear customer, ")
    expect(panel).to_be_visible()
    beside = panel.bounding_box()
    for covered in (".wb-source", REPLY, "input[value=wrong]", "[data-submit]", "[data-undo]", ".wb-head [popovertarget]"):
        box = page.locator(covered).bounding_box()
        assert box["x"] + box["width"] <= beside["x"] or box["x"] >= beside["x"] + beside["width"]
    page.keyboard.press("Alt+ArrowLeft")
    toast = page.locator("#toasts > *").bounding_box()
    bar = page.locator(".wb-bar").bounding_box()
    assert toast["x"] >= beside["x"] + beside["width"] or 0 <= toast["x"] <= beside["x"] - toast["width"]
    assert toast["y"] + toast["height"] <= bar["y"]
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    # What the guidelines cover cannot be reached under them.
    assert page.locator("nav.app-nav").is_visible() == (width > 1199)
    page.keyboard.press("Escape")
    expect(panel).to_be_visible()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()


def test_the_dialogs_that_ask_why_begin_at_the_first_reason(project, stock, annotator, page_of):
    stock(1)
    page = page_of(annotator)
    page.goto("/annotate/support-replies/")
    for key, dialog in (("Alt+s", "#skip"), ("Alt+f", "#flag")):
        page.keyboard.press(key)
        expect(page.locator(f"{dialog} input[type=radio]").first).to_be_focused()
        page.keyboard.press("Escape")


def test_on_a_phone_a_long_conversation_does_not_scroll_the_controls_away(project, source, annotator, page_of):
    turns = [{"role": "customer", "author": "C", "at": None, "text": "A long complaint. " * 20}] * 60
    make_examples(source, 1, messages=[*turns, {"role": "agent", "author": "A", "at": None, "text": "Sorry."}])
    services.tasks_make(project=project)
    page = page_of(annotator, 390, 844)
    page.goto("/annotate/support-replies/")
    expect(page.locator(REPLY)).to_be_in_viewport()
    page.locator(".bubble").last.scroll_into_view_if_needed()
    expect(page.locator(REPLY)).to_be_in_viewport()


def test_what_is_submitted_before_the_scripts_came_is_an_answer(project, stock, annotator, page_of):
    _, second = stock(2)
    page = page_of(annotator)
    page.route("**/*.js", lambda route: route.continue_() if "theme" in route.request.url else None)
    page.goto("/annotate/support-replies/", wait_until="commit")
    page.locator(REPLY).fill("Typed early")
    page.check("input[value=good]")
    page.locator("[data-submit]").click(no_wait_after=True)
    expect(page.locator("form.wb-task")).to_have_attribute("data-task", str(second.pk))
    assert Annotation.objects.get().result[0]["value"] == {"text": ["Typed early"]}


def test_what_was_typed_before_the_scripts_came_is_a_draft_too(project, stock, annotator, page_of):
    stock(1)
    page = page_of(annotator)
    waiting = []
    page.route("**/workbench*.js", lambda route: waiting.append(route))
    page.goto("/annotate/support-replies/", wait_until="commit")
    page.locator(REPLY).fill("Typed early")
    page.check("input[value=good]")
    for route in waiting:
        route.continue_()
    expect(page.locator("[data-state]")).to_contain_text("Draft saved")
    texts = [item["value"] for item in Assignment.objects.get().draft]
    assert texts == [{"text": ["Typed early"]}, {"choices": ["good"]}]
