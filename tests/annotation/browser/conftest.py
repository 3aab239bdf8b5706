"""A real browser over Django's own test server, signed in as a person of the cast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from playwright.sync_api import Page, Request, expect, sync_playwright

from tests import servers

# A browser on a busy machine is slow and not wrong.
expect.set_options(timeout=20_000)

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]


@pytest.fixture
def page_of(live_server: Any, monkeypatch: pytest.MonkeyPatch, client_of: Any) -> Iterator[Callable[..., Page]]:
    """`page_of(user)`: a signed-in page; an error on its console fails the test."""
    # Playwright runs a loop in this thread, which Django would take for asynchronous code.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    faults: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=servers.CHROMIUM, args=ARGUMENTS)

        def make(user: Any, width: int = 1280, height: int = 800, **options: Any) -> Page:
            context = browser.new_context(base_url=live_server.url, viewport={"width": width, "height": height}, **options)
            session = client_of(user).cookies[settings.SESSION_COOKIE_NAME].value
            context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": live_server.url}])
            page = context.new_page()
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on("console", lambda m: faults.append(m.text) if "Content Security" in m.text else None)
            page.set_default_timeout(20_000)
            return _settling(page)

        yield make
        browser.close()
        # Within Playwright's loop Django keeps a connection apart, which nothing else would close.
        connection.close()
    assert faults == []


def _settling(page: Page) -> Page:
    """Let `page.goto` return when the page has also fetched what it fetches by itself, the next task for one.

    A test that goes on in the database could otherwise be overtaken by the page.
    """
    under_way: set[Request] = set()
    page.on("request", lambda request: under_way.add(request) if request.resource_type in ("fetch", "xhr") else None)
    page.on("requestfinished", lambda request: under_way.discard(request))
    page.on("requestfailed", lambda request: under_way.discard(request))
    plain = page.goto

    def goto(*args: Any, **options: Any) -> Any:
        answer = plain(*args, **options)
        eventually(page, lambda: not under_way)
        return answer

    page.goto = goto  # type: ignore[method-assign]
    return page


def eventually(page: Page, condition: Callable[[], bool]) -> None:
    """Wait for a condition that is not on the page, and let the page go on meanwhile. Raises AssertionError after 20 s."""
    for _ in range(1_000):
        if condition():
            return
        page.wait_for_timeout(20)
    raise AssertionError("the condition did not come true")


def sent_to(page: Page, ending: str) -> list[Request]:
    """The requests to addresses with this ending that the page sends from now on, as a list that grows."""
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request) if request.url.endswith(ending) else None)
    return sent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if servers.CHROMIUM is None:
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason="Chromium is not installed"))


def shown(page: Page) -> int:
    """The task in view."""
    return int(page.get_attribute("form.wb-task", "data-task") or 0)
