"""The reviewer's page in a real browser: single keys, fixes with every control, what was found in a reply."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from annotation import services
from annotation.models import Annotation, Project, Review, Task
from tests.annotation.browser.conftest import sent_to
from tests.annotation.browser.test_controls import TEXT, everything, mark
from tests.annotation.test_services import submit

__all__ = ["everything"]

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_reviewer_decides_with_single_keys(project, stock, annotator, reviewer, answer, page_of):
    first, second, third = stock(3)
    for _ in range(3):
        submit(project, annotator, answer)
    page = page_of(reviewer)
    page.goto("/review/support-replies/")
    page.keyboard.press("a")
    page.wait_for_url(f"**/?after={first.pk}")
    page.keyboard.press("f")
    page.keyboard.type("Fixed: ")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(f"**/?after={second.pk}")
    page.keyboard.press("r")
    page.keyboard.type("Too long.")
    page.keyboard.press("Control+Enter")
    page.wait_for_url(f"**/?after={third.pk}")
    assert list(Task.objects.order_by("pk").values_list("state", flat=True)) == ["settled", "settled", "open"]


def test_a_rejection_without_a_word_is_refused_and_a_double_click_decides_once(
    project, stock, annotator, reviewer, answer, page_of
):
    first, second = stock(2)
    for _ in range(2):
        submit(project, annotator, answer)
    page = page_of(reviewer)
    page.goto("/review/support-replies/")
    page.keyboard.press("r")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".notice-bad")).to_contain_text("say what has to change")
    assert not Review.objects.exists()
    sent = sent_to(page, f"/review/support-replies/{first.pk}/")
    page.locator("[data-accept]").dblclick()
    page.wait_for_url(f"**/?after={first.pk}")
    assert [request.method for request in sent] == ["POST"]
    assert list(Review.objects.values_list("task", flat=True)) == [first.pk]
    assert Task.objects.get(pk=second.pk).state == "in_review"


@pytest.mark.parametrize("way", ["key", "mouse"])
def test_a_fix_may_change_every_control_however_it_is_opened(everything, annotator, reviewer, page_of, way):
    services.membership_set(project=everything, user=reviewer, role="reviewer")
    submit(everything, annotator, [
        {"from_name": "reply", "value": {"text": ["Hello"]}}, {"from_name": "quality", "value": {"choices": ["Bad"]}},
        {"from_name": "facts", "value": {"start": 0, "end": 4, "labels": ["Who"]}},
    ])
    page = page_of(reviewer)
    page.goto("/review/everything/")
    page.keyboard.press("f") if way == "key" else page.click("[data-fix-fold] summary")
    expect(page.locator(".spans q")).to_have_text("Dear")
    mark(page, "kettle", "what")
    page.check("[data-control=quality] input[value=Good]")
    page.get_by_role("button", name="Accept the fix").click()
    page.wait_for_url("**/?after=*")
    result = Annotation.objects.get(parent__isnull=False).result
    assert [i["value"]["choices"] for i in result if i["from_name"] == "quality"] == [["Good"]]
    spans = [i["value"] for i in result if i["from_name"] == "facts"]
    assert [(s["text"], s["labels"]) for s in spans] == [("Dear", ["Who"]), ("kettle", ["what"])]
    assert all(TEXT[s["start"] : s["end"]] == s["text"] for s in spans)


def test_at_a_fix_the_keys_choose_what_it_says_and_none_throws_it_away(everything, annotator, reviewer, page_of):
    services.membership_set(project=everything, user=reviewer, role="reviewer")
    submit(everything, annotator, [
        {"from_name": "reply", "value": {"text": ["Hello"]}}, {"from_name": "quality", "value": {"choices": ["Bad"]}},
    ])
    page = page_of(reviewer)
    page.goto("/review/everything/")
    page.keyboard.press("f")
    page.keyboard.type("Fixed: ")
    good = page.locator("[data-control=quality] input[value=Good]")
    page.keyboard.press(f"Alt+{good.get_attribute('data-key')}")
    expect(good).to_be_checked()
    bad = page.locator("[data-control=quality] input[value=Bad]")
    good.focus()
    page.keyboard.press(bad.get_attribute("data-key"))
    expect(bad).to_be_checked()
    for key in "arn":
        page.keyboard.press(key)
    expect(page.locator("[data-fix-form] textarea").first).to_have_value("Fixed: Hello")
    assert not Review.objects.exists()
    page.keyboard.press("Control+Enter")
    page.wait_for_url("**/?after=*")
    assert Annotation.objects.get(parent__isnull=False).result[0]["value"] == {"text": ["Fixed: Hello"]}


def test_with_two_answers_the_text_shows_the_marks_of_the_one_being_fixed(
    everything, annotator, annotator2, reviewer, page_of
):
    services.membership_set(project=everything, user=reviewer, role="reviewer")
    Project.objects.filter(pk=everything.pk).update(overlap=2)
    Task.objects.update(overlap=2)
    for user, start, end in ((annotator, 0, 4), (annotator2, TEXT.index("kettle"), TEXT.index("kettle") + 6)):
        submit(everything, user, [
            {"from_name": "reply", "value": {"text": ["Hello"]}}, {"from_name": "quality", "value": {"choices": ["Bad"]}},
            {"from_name": "facts", "value": {"start": start, "end": end, "labels": ["Who"]}},
        ])
    page = page_of(reviewer)
    page.goto("/review/everything/")
    for number, word in (("1", "Dear"), ("2", "kettle")):
        page.keyboard.press(number)
        page.keyboard.press("f")
        expect(page.locator(".wb-text-labels .marked")).to_have_text(word)
        page.keyboard.press("Escape")


def test_what_was_found_in_a_reply_is_kept_by_a_button(project, stock, annotator, reviewer, page_of, monkeypatch):
    stock(1)
    given: Any = submit(project, annotator, [
        {"from_name": "reply", "value": {"text": ["We deliver to Denmark."]}},
        {"from_name": "quality", "value": {"choices": ["good"]}},
    ])
    span = {"control": "reply", "part": 0, "start": 14, "end": 21, "type": "LOCATION", "score": 1, "placeholder": "<LOCATION_1>"}
    Annotation.objects.filter(pk=given.pk).update(pii=[span], searched_at=given.created_at)
    page = page_of(reviewer)
    page.goto("/review/support-replies/")
    expect(page.locator(".rv-reply .found")).to_have_text("Denmark")
    page.get_by_role("button", name="Keep as it is Denmark").click()
    expect(page.get_by_role("button", name="Replace Denmark")).to_be_visible()
    given.refresh_from_db()
    assert given.pii == [span | {"kept": True}]


@pytest.mark.parametrize("what", ["fix", "comment"])
@pytest.mark.parametrize("away", ["signed out", "reload", "found"])
def test_what_a_reviewer_wrote_outlives_what_takes_them_away(
    project, stock, annotator, reviewer, answer, page_of, client_of, what, away
):
    (task,) = stock(1)
    given = submit(project, annotator, answer)
    span = {"control": "reply", "part": 0, "start": 0, "end": 1, "type": "PERSON", "placeholder": "<PERSON_1>", "kept": False}
    Annotation.objects.filter(pk=given.pk).update(pii=[span])
    page = page_of(reviewer)
    page.goto(f"/review/support-replies/{task.pk}/")
    page.keyboard.press("f" if what == "fix" else "r")
    page.keyboard.type("Words of mine. ")
    if what == "fix":
        page.check("[data-fix-form] input[value=wrong]")
    if away == "signed out":
        cookies = page.context.cookies()
        page.context.clear_cookies(name="sessionid")
        page.locator("[data-fix-form] button[type=submit]" if what == "fix" else "[data-reject]").click()
        page.wait_for_url("**/accounts/login/**")
        page.context.add_cookies(cookies)
        page.goto(f"/review/support-replies/{task.pk}/")
    elif away == "reload":
        page.reload()
    else:
        page.get_by_role("button", name="Keep as it is").click()
        page.get_by_role("button", name="Replace").wait_for()
    field = "[data-fix-form] .control-reply textarea" if what == "fix" else "[data-comment]"
    expect(page.locator(field)).to_have_value(re.compile("Words of mine. "))
    expect(page.locator("#toasts")).to_contain_text("it was not sent")
    assert not Review.objects.exists()
    if what == "fix":
        expect(page.locator("[data-fix-form] input[value=wrong]")).to_be_checked()
        page.locator("[data-fix-form] button[type=submit]").click()
    else:
        page.locator("[data-reject]").click()
    page.get_by_text("Nothing waits for your review").wait_for()
    assert Review.objects.get().decision == ("fix" if what == "fix" else "reject")
