"""Type and targets as a browser computes them, on each role's pages at both widths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

PAGES = {
    "annotator": ("/", "/account/", "/tokens/", "/annotate/"),
    "reviewer": ("/", "/review/"),
    "lead": ("/", "/projects/", "/projects/support-replies/", "/projects/support-replies/tasks/", "/examples/", "/sources/",
             "/deliveries/", "/snapshots/", "/runs/", "/models/", "/recipes/", "/jobs/", "/wheel/"),
    "steward": ("/", "/clearance/", "/subjects/", "/ledger/"),
    "admin": ("/", "/people/", "/budgets/", "/sources/new/"),
}

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


@pytest.mark.parametrize("role", PAGES)
def test_text_and_targets_are_large_enough(page_of: Callable[..., Page], role: str) -> None:
    page = page_of(role)
    small: list[str] = []
    for path in PAGES[role]:
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 844})
            page.goto(path)
            found: list[dict[str, Any]] = page.evaluate(TEXT)
            assert found, path
            small += [f"{path} at {width}: {row['size']} px {row['tag']} {row['text']!r}" for row in found if row["size"] < 12]
            if width == 390:
                targets = page.evaluate(TARGETS)
                small += [
                    f"{path}: target of {row['height']} px {row['tag']} {row['text']!r}"
                    for row in targets if row["height"] < 24
                ]
    assert not small, "\n".join(sorted(set(small)))


def test_the_readers_own_font_size_counts(page_of: Callable[..., Page]) -> None:
    page = page_of("lead")
    sizes = page.evaluate("() => [document.documentElement, document.body].map((e) => getComputedStyle(e).fontSize)")
    assert sizes == ["16px", "15px"]
    assert page.evaluate("() => getComputedStyle(document.documentElement).getPropertyValue('--size-2').trim()") == "0.8125rem"
