"""One turn of the wheel in a real browser, by the people it is for, with the tiny model; then every page is looked at.

The pages are tried here, because in this installation they have runs, models, answers and suggestions to show.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.stack import ROOT, Stack

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
    steward.locator("main .row-link").first.click()
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


# -- lists -------------------------------------------------------------------------------------------------------------
def test_a_list_is_sorted_narrowed_and_kept_as_a_view_and_rows_are_chosen_by_key(page_of: Callable[..., Page]) -> None:
    page = page_of("admin")
    page.goto("/deliveries/")
    page.keyboard.press("j")
    first = page.locator("tbody tr").first.locator(".row-link").inner_text()
    expect(page.locator("tbody tr").first.locator(".row-link")).to_be_focused()
    page.get_by_role("link", name="Received").click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Received")
    expect(page.locator("tbody tr .row-link").first).not_to_have_text(first)
    page.locator("#list-status").select_option("processed")
    expect(page.locator(".chips")).to_contain_text("Status: Processed")
    page.get_by_text("Columns", exact=True).click()
    page.locator("fieldset").get_by_label("Version").uncheck()
    page.get_by_role("button", name="Show these").click()
    expect(page.locator("thead")).not_to_contain_text("Version")
    kept = page.url
    page.get_by_text("Views", exact=True).click()
    page.get_by_label("Save this view as").fill("Oldest processed")
    page.get_by_role("button", name="Save").click()
    expect(page.locator(".notices-page")).to_contain_text("Saved as 'Oldest processed'")
    page.goto("/deliveries/")
    page.get_by_text("Views", exact=True).click()
    page.get_by_role("link", name="Oldest processed").click()
    expect(page.locator("thead")).not_to_contain_text("Version")
    assert parse_qs(urlsplit(page.url).query) == parse_qs(urlsplit(kept).query)
    page.keyboard.press("/")
    expect(page.locator("#list-q")).to_be_focused()


# -- every page --------------------------------------------------------------------------------------------------------
PAGES = {
    "annotator": ("/", "/account/", "/tokens/", "/annotate/", "/annotate/{p}/", "/annotate/{p}/mine/"),
    "reviewer": ("/", "/review/", "/review/{p}/", "/review/{p}/queue/"),
    "lead": (
        "/", "/projects/", "/projects/{p}/", "/projects/{p}/tasks/", "/projects/{p}/tasks/ >", "/projects/{p}/flags/",
        "/projects/{p}/settings/", "/projects/new/", "/examples/", "/examples/ >", "/sources/", "/sources/ >",
        "/deliveries/", "/snapshots/", "/snapshots/ >", "/snapshots/new/", "/runs/", "/runs/ >", "/runs/new/", "/models/",
        "/models/ >", "/recipes/", "/jobs/", "/wheel/", "/wheel/answers/",
    ),
    "steward": ("/", "/clearance/", "/clearance/sft/cleared/", "/subjects/", "/subjects/ >", "/ledger/"),
    "admin": ("/", "/people/", "/people/ >", "/people/new/", "/budgets/", "/sources/new/", "/recipes/new/"),
}
"""What each role opens; ">" is the first row of a list."""

# Text that is seen: [{size, text, tag}] for the elements that hold it. What assistive technology alone reads is left out.
TEXT = """() => [...document.querySelectorAll("body *")].filter((element) =>
    [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())
    && !element.closest(".visually-hidden, svg, script, noscript, template") && element.checkVisibility()
    && element.getClientRects().length
  ).map((element) => ({
    size: parseFloat(getComputedStyle(element).fontSize), text: element.textContent.trim().slice(0, 40),
    tag: element.tagName + "." + element.className,
  }))"""

# Targets that are not links inside a sentence (WCAG 2.2, 2.5.8): [{height, text, tag}]. A check box is as large as its label.
TARGETS = """() => [...document.querySelectorAll("a, button, summary, select, input:not([type=hidden])")].filter((element) =>
    element.checkVisibility() && !element.closest(".visually-hidden, .skip-link, svg")
    && !element.matches("[type=checkbox], [type=radio], .skip-link")
    && !(element.matches("a, .btn-link") && getComputedStyle(element).display === "inline")
    && element.getClientRects().length
  ).map((element) => ({
    height: element.getBoundingClientRect().height, text: (element.textContent || element.name).trim().slice(0, 40),
    tag: element.tagName + "." + element.className,
  }))"""


AXE = (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text()

# [{rule, where, why}] of what axe's rules find on the page as it is now.
VIOLATIONS = """async () => (await axe.run()).violations.flatMap((rule) => rule.nodes.map((node) => ({
    rule: rule.id, where: node.html.slice(0, 120), why: node.failureSummary.replaceAll("\\n", " ").slice(0, 300),
  })))"""


def opened(page: Page, role: str) -> Iterator[str]:
    """Opens each page of the role; yields its path."""
    for path in PAGES[role]:
        listed, is_row, _ = path.format(p=PROJECT).partition(" >")
        page.goto(listed)
        if is_row:
            page.goto(str(page.locator(".row-link").first.get_attribute("href")))
        page.wait_for_load_state("networkidle")
        yield path


@pytest.mark.parametrize("role", PAGES)
def test_text_and_targets_are_large_enough_and_axe_finds_nothing(page_of: Callable[..., Page], role: str) -> None:
    # Colours that fade while axe measures their contrast are those of neither theme.
    page = page_of(role, reduced_motion="reduce")
    found: list[str] = []
    for path in opened(page, role):
        for width, scheme in ((1280, "light"), (390, "dark")):
            page.set_viewport_size({"width": width, "height": 844})
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            texts: list[dict[str, Any]] = page.evaluate(TEXT)
            assert texts, path
            found += [f"{path} at {width}: {t['size']} px {t['tag']} {t['text']!r}" for t in texts if t["size"] < 12]
            if width == 390:
                found += [
                    f"{path}: target of {row['height']} px {row['tag']} {row['text']!r}"
                    for row in page.evaluate(TARGETS) if row["height"] < 24
                ]
            page.evaluate(AXE)
            found += [f"{path} at {width}, {scheme}: {v['rule']}: {v['where']}: {v['why']}" for v in page.evaluate(VIOLATIONS)]
    assert not found, "\n".join(sorted(set(found)))


def test_the_readers_own_font_size_counts(page_of: Callable[..., Page]) -> None:
    page = page_of("lead")
    sizes = page.evaluate("() => [document.documentElement, document.body].map((e) => getComputedStyle(e).fontSize)")
    assert sizes == ["16px", "15px"]
    assert page.evaluate("() => getComputedStyle(document.documentElement).getPropertyValue('--size-2').trim()") == "0.8125rem"
