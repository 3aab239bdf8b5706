"""Screenshots of pages for looking at: `python -m tests.browser.shots URL OUT NAME:PASSWORD PATH…`.

Each page is taken in light and dark, at 1280 and at 390 pixels.
"""

from __future__ import annotations

import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests import servers
from tests.browser.conftest import ARGUMENTS, sign_in

SIZES = {"wide": (1280, 800), "narrow": (390, 844)}


def main(url: str, out: Path, who: str, paths: list[str], *, sizes: dict[str, tuple[int, int]] = SIZES) -> None:
    """Take the pictures; a path may be any address below `url`."""
    out.mkdir(parents=True, exist_ok=True)
    name, _, password = who.partition(":")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=servers.CHROMIUM, args=ARGUMENTS)
        for size, (width, height) in sizes.items():
            context = browser.new_context(base_url=url, viewport={"width": width, "height": height})
            page = context.new_page()
            page.on("console", lambda m: print(m.text) if m.type == "error" else None)
            if password:
                sign_in(page, name, password)
            for path in paths:
                for scheme in ("light", "dark"):
                    page.emulate_media(color_scheme=scheme)
                    answer = page.goto(path)
                    page.wait_for_load_state("networkidle")
                    slug = path.strip("/").replace("/", "-").replace("?", "-") or "home"
                    target = out / f"{name}-{slug}-{size}-{scheme}.png"
                    page.screenshot(path=str(target), full_page=True)
                    wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
                    print(answer.status if answer else "?", target, "SCROLLS SIDEWAYS" if wide else "")
            context.close()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
