"""One turn of the wheel in a real browser, by the people it is for, with the tiny model."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TASKS = 24
PROJECT = "support-replies"
RECIPE = "Tiny two-layer model · full"
REPLY = "Hello from Mossbeck!\n\nOur promise: we help with order {n}.\n\nKeep it growing,\nyour Mossbeck crew"


def annotate(page: Page, count: int) -> None:
    """Answer tasks with the keyboard: the reply typed, the quality by its digit, Ctrl+Enter."""
    page.goto(f"/annotate/{PROJECT}/")
    for n in range(count):
        form = page.locator("form.wb-task")
        task = form.get_attribute("data-task")
        reply = form.locator("textarea").first
        reply.fill(REPLY.format(n=n))
        form.locator("input[type=radio]").nth(n % 3).check()
        reply.press("Control+Enter")
        expect(page.locator(f"form.wb-task:not([data-task='{task}'])")).to_be_visible()


def review(page: Page, count: int) -> None:
    """Accept every answer with one key."""
    page.goto(f"/review/{PROJECT}/")
    for _ in range(count):
        address = page.url
        text = page.locator("main").inner_text()
        page.locator("[data-accept]").first.wait_for()
        page.keyboard.press("a")
        page.wait_for_function(
            "before => document.querySelector('main').innerText !== before", arg=text, timeout=30_000
        )
        assert address


def wait_for_text(page: Page, pattern: str, *, seconds: int = 120) -> None:
    """Reload until the page says it: some pages are counted or built by jobs."""
    for _ in range(seconds):
        if re.search(pattern, page.locator("main").inner_text()):
            return
        page.wait_for_timeout(1000)
        page.reload()
    raise AssertionError(f"{page.url} never said {pattern!r}:\n{page.locator('main').inner_text()[:3000]}")


def test_four_roles_turn_the_wheel_once(stack: Stack, page_of: Callable[..., Page]) -> None:
    annotator, reviewer = page_of("annotator"), page_of("reviewer")
    annotate(annotator, TASKS)
    review(reviewer, TASKS)

    lead = page_of("lead")
    lead.goto("/snapshots/new/")
    lead.get_by_label("Name").fill("First snapshot")
    lead.get_by_role("button", name="Freeze").click()
    wait_for_text(lead, "Frozen")
    expect(lead.locator("main")).to_contain_text(re.compile("[0-9a-f]{8}"))

    lead.goto("/runs/new/")
    lead.get_by_label("Recipe").select_option(label=RECIPE)
    expect(lead.locator("#estimate")).to_contain_text("EUR")
    lead.get_by_role("button", name="Request the run").click()
    lead.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}/"))
    run = lead.url.removeprefix(stack.url)

    admin = page_of("admin")
    admin.goto(run)
    admin.get_by_role("button", name="Approve").first.click()
    admin.get_by_role("button", name="Approve and queue").click()
    wait_for_text(admin, r"\bDone\b", seconds=180)
    admin.goto("/models/")
    admin.get_by_role("link", name=re.compile(f"{PROJECT}-g1")).first.click()
    expect(admin.get_by_text("By the rule", exact=True)).to_be_visible()
    admin.get_by_role("button", name="Promote to champion").click()
    expect(admin.locator("main")).to_contain_text("Champion")

    wait_for_text(admin, r"(?i)batch[\s\S]*\bDone\b")
    page = page_of("annotator")
    for _ in range(6):
        # The task held while the model was promoted, and the one loaded ahead, were no open tasks then.
        page.goto(f"/annotate/{PROJECT}/")
        if page.get_by_text(f"Suggestion from {PROJECT}-g1").count():
            break
        annotate(page, 1)
    expect(page.locator("form.wb-task")).to_contain_text(f"Suggestion from {PROJECT}-g1")

    steward = page_of("steward")
    steward.goto("/clearance/")
    expect(steward.locator("main")).to_contain_text("consent")
    steward.goto("/examples/")
    steward.locator("main table a").first.click()
    expect(steward.locator("main h1")).to_be_visible()


def test_a_draft_survives_a_closed_browser_and_undo_brings_an_answer_back(page_of: Callable[..., Page]) -> None:
    page = page_of("annotator")
    page.goto(f"/annotate/{PROJECT}/")
    task = page.locator("form.wb-task").get_attribute("data-task")
    page.locator("form.wb-task textarea").first.fill("Half a sentence that I")
    expect(page.locator("[data-state]")).to_contain_text("saved")
    page.close()
    again = page_of("annotator")
    again.goto(f"/annotate/{PROJECT}/")
    expect(again.locator(f"form.wb-task[data-task='{task}'] textarea").first).to_have_value("Half a sentence that I")
    again.locator("form.wb-task input[type=radio]").first.check()
    again.locator("form.wb-task textarea").first.press("Control+Enter")
    expect(again.locator(f"form.wb-task:not([data-task='{task}'])")).to_be_visible()
    again.keyboard.press("Alt+z")
    expect(again.locator(f"form.wb-task[data-task='{task}'] textarea").first).to_have_value("Half a sentence that I")


def test_a_stranger_is_sent_to_sign_in(stack: Stack, browser) -> None:
    context = browser.new_context(base_url=stack.url)
    page = context.new_page()
    for address in ("/", "/wheel/", f"/annotate/{PROJECT}/", "/clearance/", "/runs/", "/snapshots/", "/people/"):
        page.goto(address)
        assert "/accounts/login/" in page.url
    context.close()
