"""A real browser over a running product."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests import servers
from tests.stack import Stack, running_stack

# A browser on a busy machine is slow and not wrong.
expect.set_options(timeout=20_000)

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if servers.CHROMIUM is None:
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason="Chromium is not installed"))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One running product for the whole session."""
    with running_stack(tmp_path_factory.mktemp("stack")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module: while its loop runs, Django lets no other test near a database."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=servers.CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def page_of(stack: Stack, browser: Browser) -> Iterator[Callable[..., Page]]:
    """`page_of("annotator")`: a signed-in page of a demo person, in a separate browser context.

    A page that logs an error to the console or answers 5xx fails the test.
    """
    contexts: list[Any] = []
    faults: list[str] = []

    def make(role: str, **options: Any) -> Page:
        context = browser.new_context(base_url=stack.url, viewport={"width": 1280, "height": 800}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda m: faults.append(f"{role}: {m.text}") if m.type == "error" else None)
        page.on("pageerror", lambda e: faults.append(f"{role}: {e}"))
        page.on("response", lambda r: faults.append(f"{role}: {r.status} {r.url}") if r.status >= 500 else None)
        sign_in(page, role, stack.passwords[role])
        return page

    yield make
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)


def sign_in(page: Page, name: str, password: str) -> None:
    """Sign in through the form, as a person does."""
    page.goto("/accounts/login/")
    page.locator("input[name=login]").fill(name)
    page.locator("input[name=password]").fill(password)
    page.locator("form button[type=submit]").first.click()
    page.wait_for_url(lambda url: "login" not in url)
