"""Drafts and leases in a real browser: two windows, a lease that ends while one types, a session that ends, undo too late."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone
from playwright.sync_api import Page, Route, expect

from annotation import services
from annotation.models import Annotation, Assignment, Project, Task
from tests.annotation.browser.conftest import eventually, sent_to, shown
from tests.annotation.test_services import submit

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
BENCH = "/annotate/support-replies/"
FIELD = ".control-reply textarea"


def state(page: Page):
    return page.locator("[data-state]")


def typed(page: Page, words: str) -> None:
    page.focus(FIELD)
    page.keyboard.press("Control+Home")
    page.keyboard.type(words)


def draft(user) -> str:
    return str(Assignment.objects.get(user=user, task=Task.objects.order_by("pk").first()).draft)


def lose(task: Task, to) -> None:
    """Let all leases on the task end, and give it to another annotator."""
    Assignment.objects.filter(task=task).update(expires_at=timezone.now() - timedelta(seconds=1))
    services.leases_sweep()
    assert services.task_next(project=task.project, user=to).task_id == task.pk


def test_of_two_windows_on_one_task_neither_overwrites_the_other_unasked(project, stock, annotator, page_of):
    stock(1)
    first, second = page_of(annotator), page_of(annotator)
    first.goto(BENCH)
    second.goto(BENCH)
    typed(first, "First window. ")
    expect(state(first)).to_contain_text("Draft saved")
    typed(second, "2")
    expect(state(second)).to_contain_text("another window saved this draft")
    assert "First window." in draft(annotator)
    second.keyboard.type("nd window. ")
    expect(state(second)).to_contain_text("Draft saved")
    assert "2nd window." in draft(annotator)
    first.reload()
    expect(first.locator(FIELD)).to_have_value("2nd window. Please send it back to us.")


def test_answers_that_come_out_of_order_do_not_look_like_another_window(project, stock, annotator, page_of):
    stock(1)
    page = page_of(annotator)
    page.goto(BENCH)
    held: list[Route] = []
    page.route("**/draft/", lambda route: route.continue_() if held else held.append(route))
    typed(page, "First. ")
    eventually(page, lambda: bool(held))
    page.keyboard.type("Second. ")
    expect(state(page)).to_contain_text("Draft saved")
    said = state(page).inner_text()
    with page.expect_event("requestfinished", lambda request: request == held[0].request):
        held[0].continue_()
    # One turn of the page's loop, in which it takes the answer up.
    page.evaluate("() => new Promise((done) => setTimeout(done))")
    expect(state(page)).to_have_text(said)
    assert "First. Second." in draft(annotator)


def test_a_lease_that_ends_while_one_types_is_taken_up_again_if_nobody_else_came(project, stock, annotator, page_of):
    stock(1)
    page = page_of(annotator)
    page.goto(BENCH)
    Assignment.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    services.leases_sweep()
    assert Assignment.objects.get().status == "expired"
    typed(page, "Still here. ")
    expect(state(page)).to_contain_text("Draft saved")
    assert Assignment.objects.get().status == "active"


def test_a_place_lost_while_one_types_is_said_and_the_text_is_kept(project, stock, annotator, annotator2, page_of):
    first, second = stock(2)
    page = page_of(annotator)
    page.goto(BENCH)
    # The second task is held ahead; with both leases gone the other person gets the oldest.
    lose(first, annotator2)
    typed(page, "Too late. ")
    expect(state(page)).to_contain_text("taken by another annotator")
    expect(page.locator("[data-said]")).to_contain_text("taken by another annotator")
    assert "Too late." in draft(annotator)
    page.keyboard.press("Alt+1")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".toasts")).to_contain_text("what you wrote is kept as a draft")
    expect(page.locator("form.wb-task")).to_have_attribute("data-task", str(second.pk))
    page.goto(f"{BENCH}mine/?status=expired")
    expect(page.locator("main")).to_contain_text("draft saved")
    assert Annotation.objects.count() == 0


def test_pressing_submit_many_times_is_one_answer(project, stock, annotator, page_of):
    first, second, _ = stock(3)
    page = page_of(annotator)
    page.goto(BENCH)
    held: list[Route] = []
    page.route("**/submit/", lambda route: held.append(route))
    sent = sent_to(page, "/submit/")
    page.keyboard.press("1")
    for _ in range(4):
        page.keyboard.press("Control+Enter")
    page.locator("[data-submit]").click(click_count=3, force=True, no_wait_after=True)
    eventually(page, lambda: bool(held))
    held[0].continue_()
    expect(page.locator("form.wb-task")).to_have_attribute("data-task", str(second.pk))
    expect(page.locator("[data-done]")).to_have_text("1")
    assert len(sent) == 1
    assert list(Annotation.objects.values_list("task_id", flat=True)) == [first.pk]
    assert shown(page) == second.pk


def test_the_same_answer_from_two_windows_is_one_and_the_second_is_led_on(project, stock, annotator, page_of):
    _, second = stock(2)
    pages = [page_of(annotator), page_of(annotator)]
    for page in pages:
        page.goto(BENCH)
        page.keyboard.press("1")
    for page in pages:
        page.keyboard.press("Control+Enter")
        expect(page.locator("form.wb-task")).to_have_attribute("data-task", str(second.pk))
    expect(pages[1].locator(".toasts")).to_contain_text("have answered")
    assert Annotation.objects.count() == 1


def test_undo_too_late_says_why_and_loses_nothing(project, stock, annotator, reviewer, answer, page_of):
    _, second = stock(2)
    given = submit(project, annotator, answer)
    page = page_of(annotator)
    page.goto(BENCH)
    typed(page, "Half. ")
    services.review_settle(annotation_id=given.pk, reviewer=reviewer, decision="accept")
    page.keyboard.press("Alt+z")
    expect(page.locator(".toasts")).to_contain_text("can no longer be undone; ask a reviewer to send it back")
    assert shown(page) == second.pk
    expect(page.locator(FIELD)).to_have_value("Half. Please send it back to us.")


def test_undo_while_a_reviewer_looks_wins_and_the_reviewer_is_told(project, stock, annotator, reviewer, answer, page_of):
    (task,) = stock(1)
    submit(project, annotator, answer)
    desk = page_of(reviewer)
    desk.goto("/review/support-replies/")
    page = page_of(annotator)
    page.goto(BENCH)
    page.get_by_role("button", name="Undo my last answer or flag").click()
    expect(page.locator("form.wb-task")).to_have_attribute("data-task", str(task.pk))
    desk.keyboard.press("a")
    expect(desk.locator(".notices, .notice").first).to_contain_text("no longer waits for this decision")
    task.refresh_from_db()
    assert task.state == "open"


def test_what_is_sent_back_comes_first_with_the_comment_and_the_answer(project, stock, annotator, reviewer, answer, page_of):
    first, second = stock(2)
    given = submit(project, annotator, answer)
    services.review_settle(
        annotation_id=given.pk, reviewer=reviewer, decision="reject", comment="Too long.\n<b>Shorter</b>, please."
    )
    page = page_of(annotator)
    page.goto(BENCH)
    assert shown(page) == first.pk
    notice = page.locator(".wb-controls .notice-warn")
    expect(notice).to_contain_text("Sent back by rex")
    expect(notice).to_contain_text("<b>Shorter</b>, please.")
    expect(page.locator(FIELD)).to_have_value(answer[0]["value"]["text"][0])
    page.keyboard.press("Control+Enter")
    expect(page.locator("form.wb-task")).to_have_attribute("data-task", str(second.pk))
    assert Annotation.objects.filter(task=first, state="submitted").count() == 1


def test_two_people_answer_a_task_of_two_places_and_the_reviewer_sees_both(
    project, stock, annotator, annotator2, reviewer, page_of
):
    Project.objects.filter(pk=project.pk).update(overlap=2)
    project.refresh_from_db()
    (task,) = stock(1)
    for user, words in ((annotator, "One. "), (annotator2, "Two. ")):
        page = page_of(user)
        page.goto(BENCH)
        typed(page, words)
        page.keyboard.press("Alt+2")
        page.keyboard.press("Control+Enter")
        expect(page.locator("[data-nothing]")).to_be_visible()
    desk = page_of(reviewer)
    desk.goto("/review/support-replies/")
    expect(desk.locator(".rv-answer")).to_have_count(2)
    desk.keyboard.press("2")
    desk.keyboard.press("a")
    desk.wait_for_url("**/?after=*")
    task.refresh_from_db()
    assert (task.state, task.settled_annotation.author) == ("settled", annotator2)


def test_a_session_that_ends_while_one_types_keeps_the_text_and_goes_on_after_signing_in(
    project, stock, annotator, page_of
):
    stock(1)
    page = page_of(annotator)
    page.goto(BENCH)
    Session.objects.all().delete()
    typed(page, "Precious. ")
    expect(state(page)).to_contain_text("You were signed out")
    page.keyboard.press("Alt+1")
    page.keyboard.press("Control+Enter")
    expect(state(page)).to_contain_text("You were signed out")
    other = page.context.new_page()
    other.goto("/accounts/login/")
    other.fill("input[name=login]", "ann")
    other.fill("input[name=password]", "ann")
    other.click("main button[type=submit]")
    other.wait_for_url(lambda url: "login" not in url)
    typed(page, "More. ")
    expect(state(page)).to_contain_text("Draft saved")
    assert "More. Precious." in draft(annotator)


def test_after_each_switch_the_focus_is_on_the_task_and_the_keys_work(project, stock, annotator, page_of):
    stock(3)
    page = page_of(annotator)
    page.goto(BENCH)
    for number in (1, 2):
        typed(page, "x")
        page.keyboard.press("Alt+1")
        page.keyboard.press("Control+Enter")
        expect(page.locator("[data-done]")).to_have_text(str(number))
        expect(page.locator(".wb-source")).to_be_focused()
        assert "Task" in (page.locator(".wb-source").get_attribute("aria-label") or "")
    page.keyboard.press("2")
    expect(page.locator("input[value=needs_edits]")).to_be_checked()
