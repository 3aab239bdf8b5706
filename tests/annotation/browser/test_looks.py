"""The workbench on screens of every size, zoomed, and with texts that would break it if they could."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation import services
from annotation.models import Annotation, Project, Suggestion
from flywheel.capture.models import Example
from tests.annotation.browser.test_controls import EVERYTHING
from tests.annotation.conftest import make_examples

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# The last but one is a window of 1280 by 800 at 200 % zoom; 320 is what 400 % leaves of it.
SIZES = [(1600, 900), (1280, 800), (1024, 640), (640, 400), (390, 844), (320, 568)]
HOSTILE = (
    "</textarea></template><script>window.owned = 1</script><img src=x onerror='window.owned = 2'>\n"
    "{{ project }} {% csrf_token %} ${7*7} <EMAIL_1> <EMAIL_99999999999999999999> &lt;b&gt; \u202eRTL override\u202c "
    "\u0645\u0631\u062d\u0628\u0627 zero\u200bwidth " + "W" * 400 + "\n" + "a\u0300\u0301\u0302" * 40 + "\n\n\n" + "x " * 3_000
)


def project_of(lead: Any, annotator: Any, source: Any, text: str = "Short.", turns: int = 2) -> Project:
    made = services.project_create(by=lead, name="Everything", label_config=EVERYTHING, sources=[source],
                                   guidelines=f"# Read this\n\n{text}\n\n![x](https://example.org/p.png)")
    services.membership_set(project=made, user=annotator, role="annotator")
    said = [{"role": role, "author": text[:200], "at": None, "text": text}
            for role in ("customer", "note", "agent", "customer")[:turns]]
    examples = make_examples(source, 2, messages=[*said, {"role": "agent", "author": "A", "at": None, "text": text}])
    Example.objects.update(redacted_subject_line=text[:500], label=text[:200], context_length=len(said))
    Suggestion.objects.bulk_create([
        Suggestion(example=e, origin="model", origin_name=f"model {text[:150]}", text=text) for e in examples
    ])
    services.tasks_make(project=made)
    return made


def wide(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_wider_than_the_screen_and_what_has_the_focus_is_seen(source, lead, annotator, page_of, size):
    project_of(lead, annotator, source, text="A sentence of usual length, as customers write it. " * 6)
    page = page_of(annotator, *size)
    page.goto("/annotate/everything/")
    assert wide(page) == 0
    for selector in ("[data-submit]", "[data-skip]", "[data-flag]", "[data-undo]"):
        expect(page.locator(selector)).to_be_in_viewport()
    page.locator(".wb-source").focus()
    for _ in range(40):
        page.keyboard.press("Tab")
        hidden = page.evaluate("""() => { const e = document.activeElement; const bar = document.querySelector(".wb-bar");
            if (bar.contains(e)) return "end";
            const box = e.closest("label")?.getBoundingClientRect() ?? e.getBoundingClientRect();
            const top = bar.getBoundingClientRect().top;
            return box.top < top && box.bottom > 0 && (box.bottom <= top + 1 || box.height > top) ? "" : e.outerHTML; }""")
        if hidden == "end":
            break
        assert hidden == ""
    else:
        pytest.fail("the bar was never reached")


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)])
def test_hostile_texts_are_shown_as_texts(source, lead, annotator, reviewer, page_of, size):
    made = project_of(lead, annotator, source, text=HOSTILE, turns=4)
    services.membership_set(project=made, user=reviewer, role="reviewer")
    page = page_of(annotator, *size)
    page.goto("/annotate/everything/")
    expect(page.locator(".control-reply textarea")).to_have_value(HOSTILE.replace("\r\n", "\n"))
    expect(page.locator(".wb-text-labels")).to_contain_text("<script>window.owned = 1</script>")
    page.locator(".wb-text-labels span", has_text="project").first.dblclick()
    page.locator("[data-label=Who]").click()
    page.check("[data-control=quality] input[value=Good]")
    assert wide(page) == 0
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-done]")).to_have_text("1")
    (span,) = [i["value"] for i in Annotation.objects.get().result if i["type"] == "labels"]
    assert HOSTILE[span["start"] : span["end"]] == span["text"] == "project"
    desk = page_of(reviewer, *size)
    desk.goto("/review/everything/")
    expect(desk.locator(".rv-answer")).to_contain_text("Same as the suggestion")
    assert wide(desk) == 0
    for tab in (page, desk):
        assert tab.evaluate("window.owned") is None
        assert tab.locator("main img, main script").count() == 0


def test_a_very_long_conversation_opens_and_answers_at_once(source, lead, annotator, page_of):
    made = services.default_project_ensure(by=lead, sources=[source])
    services.membership_set(project=made, user=annotator, role="annotator")
    turns = [{"role": "customer" if n % 2 else "agent", "author": "C", "at": None, "text": f"Turn {n}. " + "words " * 60}
             for n in range(400)]
    make_examples(source, 2, messages=[*turns, {"role": "agent", "author": "A", "at": None, "text": "word " * 3_900}])
    services.tasks_make(project=made)
    page = page_of(annotator)
    page.goto("/annotate/support-replies/")
    page.focus(".control-reply textarea")
    began = page.evaluate("performance.now()")
    page.keyboard.type("0123456789")
    page.wait_for_function("document.querySelector('.control-reply textarea').value.includes('0123456789')")
    assert page.evaluate("performance.now()") - began < 2_000
    page.keyboard.press("Alt+1")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-done]")).to_have_text("1")


def test_guidelines_run_nothing_load_nothing_and_open_links_beside(source, lead, annotator, page_of):
    project_of(lead, annotator, source, text="<script>window.owned=1</script> [a](javascript:alert(1)) [ok](https://example.org)")
    page = page_of(annotator)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("/annotate/everything/")
    page.keyboard.press("g")
    panel = page.locator("#guidelines")
    expect(panel).to_be_visible()
    expect(panel.get_by_role("link", name="ok")).to_have_attribute("target", "_blank")
    expect(panel.get_by_role("link", name="x", exact=True)).to_have_attribute("href", "https://example.org/p.png")
    assert panel.locator("img, script, a[href^=javascript]").count() == 0
    assert [url for url in asked if "example.org" in url] == []
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
