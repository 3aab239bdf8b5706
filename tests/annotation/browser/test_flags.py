"""Flagging in a real browser: by key and by button, taken back, by two people at once, decided by a lead."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from annotation import services
from annotation.models import Assignment, Flag, Project, Task
from tests.annotation.browser.conftest import sent_to, shown

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
BENCH = "/annotate/support-replies/"


def test_a_task_is_flagged_and_taken_back_by_keys_alone(project, stock, annotator, page_of):
    first, second, _ = stock(3)
    page = page_of(annotator)
    page.goto(BENCH)
    page.focus(".control-reply textarea")
    page.keyboard.type("Half an answer. ")
    page.keyboard.press("Alt+f")
    expect(page.locator("#flag")).to_be_visible()
    page.keyboard.press("Control+Enter")
    expect(page.locator("#flag [data-reason-error]")).to_have_text("Choose what is wrong.")
    page.get_by_label("Personal data is left in the text").check()
    page.keyboard.press("Tab")
    page.keyboard.type("second line")
    page.keyboard.press("Control+Enter")
    expect(page.locator("form.wb-task")).to_have_attribute("data-task", str(second.pk))
    expect(page.locator(".toasts")).to_contain_text("Alt+Z takes the flag back")
    raised = Flag.objects.get()
    assert (raised.task, raised.reason, raised.comment) == (first, "personal_data", "second line")
    assert "Half an answer." in Assignment.objects.get(task=first).draft[0]["value"]["text"][0]
    page.keyboard.press("Alt+z")
    expect(page.locator("form.wb-task")).to_have_attribute("data-task", str(first.pk))
    expect(page.locator(".control-reply textarea")).to_have_value("Half an answer. Please send it back to us.")
    expect(page.locator("[data-done]")).to_have_text("0")
    raised.refresh_from_db()
    assert raised.state == "undone"


def test_the_button_opens_the_dialog_and_leaving_it_changes_nothing(project, stock, annotator, page_of):
    (task,) = stock(1)
    page = page_of(annotator)
    page.goto(BENCH)
    page.click("[data-flag]")
    page.get_by_label("Something else", exact=True).check()
    page.locator("#flag button[type=submit]").click()
    expect(page.locator("#flag [data-reason-error]")).to_contain_text("Say what is wrong")
    page.keyboard.press("Escape")
    expect(page.locator("#flag")).to_be_hidden()
    assert shown(page) == task.pk
    assert not Flag.objects.exists()


def test_a_double_click_flags_once(project, stock, annotator, page_of):
    stock(2)
    page = page_of(annotator)
    page.goto(BENCH)
    page.click("[data-flag]")
    page.locator("#flag").get_by_text("Unsafe or abusive content").click()
    sent = sent_to(page, "/flag/")
    page.locator("#flag button[type=submit]").dblclick()
    expect(page.locator("#flag")).to_be_hidden()
    assert len(sent) == 1
    assert Flag.objects.count() == 1


def test_two_people_flag_the_same_task_at_once_and_a_lead_decides_for_both(
    project, stock, annotator, annotator2, lead, page_of
):
    Project.objects.filter(pk=project.pk).update(overlap=2)
    project.refresh_from_db()
    (task,) = stock(1)
    pages = [page_of(annotator), page_of(annotator2)]
    for page in pages:
        page.goto(BENCH)
        assert shown(page) == task.pk
        page.keyboard.press("Alt+f")
        page.locator("#flag").get_by_text("Unsafe or abusive content").click()
    for page in pages:
        page.locator("#flag button[type=submit]").click(no_wait_after=True)
    for page in pages:
        expect(page.locator("[data-nothing]")).to_be_visible()
    assert Flag.objects.filter(state="open").count() == 2
    desk = page_of(lead)
    desk.goto("/projects/support-replies/flags/")
    expect(desk.locator(".flag")).to_have_count(2)
    desk.get_by_label("Note").first.fill("It is a quotation.")
    desk.get_by_role("button", name="Back to work").first.click()
    expect(desk.locator("h2")).to_contain_text("No flag waits for a decision")
    assert set(Flag.objects.values_list("state", "note")) == {("returned", "It is a quotation.")}
    pages[0].reload()
    expect(pages[0].locator(".wb-controls .notice")).to_contain_text("It is a quotation.")


def test_flagging_works_without_scripts(project, stock, annotator, page_of):
    first, second = stock(2)
    page = page_of(annotator, java_script_enabled=False)
    page.goto(BENCH)
    page.click("[data-flag]")
    page.get_by_label("Unsafe or abusive content").check()
    page.click("main button[type=submit]")
    assert shown(page) == second.pk
    first.refresh_from_db()
    assert first.state == "flagged"


def test_text_on_a_task_that_was_closed_meanwhile_is_kept_and_the_next_task_comes(
    project, stock, annotator, annotator2, lead, page_of
):
    Project.objects.filter(pk=project.pk).update(overlap=2)
    project.refresh_from_db()
    first, second = stock(2)
    page = page_of(annotator)
    page.goto(BENCH)
    held = services.task_next(project=project, user=annotator2)
    raised = services.task_flag(task_id=held.task_id, user=annotator2, reason="unsafe")
    page.focus(".control-reply textarea")
    page.keyboard.type("Written meanwhile. ")
    services.flag_resolve(flag_id=raised.pk, by=lead, decision="close")
    page.keyboard.press("Alt+1")
    page.keyboard.press("Control+Enter")
    expect(page.locator("form.wb-task")).to_have_attribute("data-task", str(second.pk))
    expect(page.locator(".toasts")).to_contain_text("was closed after a flag")
    assert "Written meanwhile." in str(Assignment.objects.get(task=first, user=annotator).draft)
    assert Task.objects.get(pk=first.pk).submitted_count == 0
