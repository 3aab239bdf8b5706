"""Every control in a real browser: by keyboard alone, by mouse, kept over a reload and in another browser, sent as typed."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotation import services
from annotation.models import Annotation, Assignment, Task
from tests.annotation.conftest import make_examples

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

EVERYTHING = """<View>
  <Paragraphs name="talk" value="$conversation" layout="dialogue"/>
  <Text name="body text" value="$reply"/>
  <Header value="Facts"/><Labels name="facts" toName="body text"><Label value="Who"/><Label value="What" alias="what"/></Labels>
  <Header value="Tone words"/><Labels name="tone" toName="body text"><Label value="Kind"/></Labels>
  <Header value="Reply"/><TextArea name="reply" toName="talk" required="true"/>
  <Header value="Quality"/><Choices name="quality" toName="talk" required="true"><Choice value="Good"/><Choice value="Bad"/></Choices>
  <Header value="Topics"/><Choices name="topics" toName="talk" choice="multiple"><Choice value="A"/><Choice value="B"/><Choice value="C"/></Choices>
  <Header value="Stars"/><Rating name="stars" toName="talk" maxRating="4"/>
  <Header value="Mood"/><Choices name="mood" toName="talk"><Choice value="Calm"/><Choice value="Cross"/></Choices>
  <Header value="Note"/><TextArea name="note" toName="talk" rows="2"/>
</View>"""
FAMILY = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
TEXT = f"Dear {FAMILY} Zoe\N{COMBINING DIAERESIS}, the \N{TEACUP WITHOUT HANDLE}\N{VARIATION SELECTOR-16} kettle is 东京大学 made."


@pytest.fixture
def everything(source: Any, lead: Any, annotator: Any, annotator2: Any) -> Any:
    """A project with every control, and two tasks whose agent's reply is TEXT."""
    made = services.project_create(by=lead, name="Everything", label_config=EVERYTHING, sources=[source])
    for person in (annotator, annotator2):
        services.membership_set(project=made, user=person, role="annotator")
    turns = [{"role": "customer", "author": "C", "at": None, "text": "My kettle leaks."},
             {"role": "agent", "author": "A", "at": None, "text": TEXT}]
    make_examples(source, 2, messages=turns)
    services.tasks_make(project=made)
    return made


def opened(page: Page) -> Page:
    page.goto("/annotate/everything/")
    page.wait_for_selector("form.wb-task")
    return page


def values(kind: str) -> list[Any]:
    return [item["value"] for item in Annotation.objects.get().result if item["from_name"] == kind]


def mark(page: Page, word: str, label: str) -> None:
    """Select a word by double click and put a label on it."""
    page.locator(".wb-text-labels span", has_text=word).first.dblclick()
    page.locator(f"[data-label='{label}']").click()


def test_all_of_it_is_done_by_keyboard_alone_and_sent_as_it_was_typed(everything, annotator, page_of):
    page = opened(page_of(annotator))
    page.keyboard.press("Escape")
    page.locator(".wb-text-labels").focus()
    for key in ("ArrowRight", "1", "ArrowRight", "ArrowRight", "Shift+ArrowRight", "2"):
        page.keyboard.press(key)
    expect(page.locator("[data-control=facts] .spans li")).to_have_count(2)
    page.keyboard.press("e")
    page.keyboard.press("Control+a")
    page.keyboard.type("A new reply.")
    page.keyboard.press("Alt+5")
    page.keyboard.press("Escape")
    for key in ("6", "8"):
        page.keyboard.press(key)
    page.locator("[data-control=stars] input").first.focus()
    for key in (" ", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    page.locator("[data-control=note] textarea").focus()
    page.keyboard.type("line one")
    page.keyboard.press("Enter")
    page.keyboard.type("line two")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-done]")).to_have_text("1")
    assert values("reply") == [{"text": ["A new reply."]}]
    assert (values("quality"), values("topics")) == ([{"choices": ["Bad"]}], [{"choices": ["A", "C"]}])
    assert (values("stars"), values("note")) == ([{"rating": 3}], [{"text": ["line one\nline two"]}])
    assert [span["text"] for span in values("facts")] == ["Dear", f"{FAMILY} Zoe\N{COMBINING DIAERESIS}"]


def test_offsets_are_characters_and_no_emoji_accent_or_word_without_blanks_is_cut(everything, annotator, page_of):
    page = opened(page_of(annotator))
    mark(page, "kettle", "what")
    mark(page, "Zoe", "Who")
    mark(page, "made", "Kind")
    mark(page, "东京", "what")
    page.locator("[data-control=quality] input").first.check()
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-done]")).to_have_text("1")
    for span in values("facts") + values("tone"):
        assert TEXT[span["start"] : span["end"]] == span["text"], span
    assert [(s["text"], s["labels"]) for s in values("facts")][:2] == [
        ("Zoe\N{COMBINING DIAERESIS}", ["Who"]), ("kettle", ["what"])]
    assert len(values("facts")[2]["text"]) < len("东京大学 made")
    assert [(s["text"], s["labels"]) for s in values("tone")] == [("made", ["Kind"])]


def test_two_controls_label_one_text_and_marks_are_taken_off_one_by_one(everything, annotator, page_of):
    page = opened(page_of(annotator))
    mark(page, "kettle", "Who")
    mark(page, "kettle", "Kind")
    mark(page, "kettle", "what")
    expect(page.locator("[data-control=facts] .spans li")).to_have_text("Who, WhatkettleRemove")
    expect(page.locator("[data-control=tone] .spans li")).to_have_count(1)
    expect(page.locator(".wb-text-labels .marked")).to_have_count(1)
    page.get_by_role("button", name="Remove Who, What from kettle").click()
    expect(page.locator("[data-control=facts] .spans li")).to_have_count(0)
    expect(page.locator(".wb-text-labels .marked")).to_have_attribute("title", "Kind")
    expect(page.locator(".wb-text-labels")).to_be_focused()
    page.click("[data-label=Who]")
    expect(page.locator("[data-control=facts] [data-spans-said]")).to_have_text("Select words in the text first.")


def fill(page: Page) -> None:
    mark(page, "kettle", "what")
    page.fill("[data-control=reply] textarea", "Half a reply")
    page.check("[data-control=quality] input[value=Bad]")
    page.check("[data-control=topics] input[value=B]")
    page.locator("[data-control=stars] .rating").nth(1).click()
    page.fill("[data-control=note] textarea", "a note")
    expect(page.locator("[data-state]")).to_contain_text("Draft saved")


def filled(page: Page) -> None:
    expect(page.locator("[data-control=facts] .spans q")).to_have_text("kettle")
    expect(page.locator(".wb-text-labels .marked")).to_have_text("kettle")
    expect(page.locator("[data-control=reply] textarea")).to_have_value("Half a reply")
    expect(page.locator("[data-control=quality] input[value=Bad]")).to_be_checked()
    expect(page.locator("[data-control=topics] input[value=B]")).to_be_checked()
    expect(page.locator("[data-control=stars] input[value='2']")).to_be_checked()
    expect(page.locator("[data-control=note] textarea")).to_have_value("a note")


def test_the_whole_draft_is_there_after_a_reload_and_in_another_browser(everything, annotator, page_of):
    page = opened(page_of(annotator))
    fill(page)
    page.reload()
    filled(page)
    filled(opened(page_of(annotator)))
    assert Assignment.objects.filter(status="active", draft_saved_at__isnull=False).count() == 1


def test_the_whole_draft_is_there_when_the_server_never_had_it(everything, annotator, page_of):
    page = opened(page_of(annotator))
    page.route("**/draft/", lambda route: route.abort())
    mark(page, "kettle", "what")
    page.fill("[data-control=reply] textarea", "Half a reply")
    page.check("[data-control=quality] input[value=Bad]")
    page.check("[data-control=topics] input[value=B]")
    page.locator("[data-control=stars] .rating").nth(1).click()
    page.fill("[data-control=note] textarea", "a note")
    page.reload()
    filled(page)


def test_an_optional_choice_and_rating_can_be_cleared(everything, annotator, page_of):
    page = opened(page_of(annotator))
    clear = page.get_by_role("button", name="Clear Mood")
    expect(clear).to_be_hidden()
    page.check("[data-control=mood] input[value=Calm]")
    clear.click()
    expect(page.locator("[data-control=mood] input:checked")).to_have_count(0)
    expect(page.locator("[data-control=mood] input").first).to_be_focused()
    page.locator("[data-control=stars] .rating").nth(1).click()
    page.get_by_role("button", name="Clear Stars").click()
    expect(page.locator("[data-control=quality] [data-clear]")).to_have_count(0)
    page.check("[data-control=quality] input[value=Good]")
    page.keyboard.press("Control+Enter")
    expect(page.locator("[data-done]")).to_have_text("1")
    assert (values("mood"), values("stars"), values("quality")) == ([], [], [{"choices": ["Good"]}])


def test_what_is_missing_is_said_at_the_control_and_gets_the_focus(everything, annotator, page_of):
    page = opened(page_of(annotator))
    page.fill("[data-control=reply] textarea", "   ")
    page.check("[data-control=quality] input[value=Good]")
    page.keyboard.press("Control+Enter")
    field = page.locator("[data-control=reply] textarea")
    expect(field).to_be_focused()
    expect(field).to_have_accessible_description("Needed before you can submit.")
    expect(field).to_have_attribute("aria-invalid", "true")
    page.keyboard.type("Words")
    expect(page.locator("[data-error]:visible")).to_have_count(0)
    assert Task.objects.filter(submitted_count=1).count() == 0


def test_everything_has_a_name_for_those_who_do_not_see_it(everything, annotator, page_of):
    page = opened(page_of(annotator))
    nameless = page.evaluate("""() => [...document.querySelectorAll("main button, main a, main input:not([type=hidden]), main textarea, main [role=textbox]")]
        .filter((e) => e.checkVisibility() && !(e.getAttribute("aria-label") || e.labels?.[0]?.textContent.trim() || e.textContent.trim()))
        .map((e) => e.outerHTML)""")
    assert nameless == []
    for name in ("Quality", "Topics", "Stars", "Mood", "Facts", "Tone words"):
        expect(page.get_by_role("group", name=name)).to_be_visible()
    expect(page.get_by_role("region", name="Your answer")).to_be_visible()
    expect(page.get_by_role("textbox", name="Reply", exact=True)).to_be_editable()
    identifiers = page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(identifiers) == len(set(identifiers))
    assert [i for i in identifiers if " " in i] == []


def test_the_focus_goes_in_reading_order_and_never_out_of_sight(everything, annotator, page_of):
    page = opened(page_of(annotator))
    seen: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        where = page.evaluate("""() => { const e = document.activeElement; const r = e.getBoundingClientRect();
            const c = e.closest("[data-control]")?.dataset.control ?? e.dataset?.document ?? e.className;
            return [String(c), r.width > 0 && r.bottom > 0 && r.top < innerHeight]; }""")
        seen.append(where[0])
        assert where[1], seen
        if "btn-lg" in where[0] and "btn-primary" not in where[0]:
            break
    order = [name for name in dict.fromkeys(seen) if name in (
        "wb-source", "body text", "facts", "tone", "reply", "quality", "topics", "stars", "mood", "note")]
    assert order == ["wb-source", "body text", "facts", "tone", "reply", "quality", "topics", "stars", "mood", "note"]
