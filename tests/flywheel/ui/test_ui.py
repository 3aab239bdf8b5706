"""The design system: tags, tokens' contrast, and templates that obey the content policy."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.template import Context, Template
from django.template.loader import get_template

from flywheel.ui.templatetags import ui
from tests.sweeps import check_each

ROOT = Path(settings.BASE_DIR)
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
STYLES = ROOT / "flywheel" / "static" / "css"
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

FORBIDDEN = {
    "inline style": re.compile(r"\sstyle\s*=", re.IGNORECASE),
    "style element": re.compile(r"<style\b", re.IGNORECASE),
    "inline handler": re.compile(r"\son[a-z]+\s*=\s*[\"']", re.IGNORECASE),
    "script address": re.compile(r"javascript:", re.IGNORECASE),
    "foreign host": re.compile(r"(?:src|href)\s*=\s*[\"'](?:https?:)?//", re.IGNORECASE),
}


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_templates_have_nothing_inline_and_nothing_foreign() -> None:
    def check(path: Path) -> None:
        text = path.read_text()
        found = [name for name, pattern in FORBIDDEN.items() if pattern.search(text)]
        assert found == []

    check_each(TEMPLATES, check, name=relative)


def test_scripts_have_a_source_and_a_nonce() -> None:
    def check(path: Path) -> None:
        for script in re.findall(r"<script\b[^>]*>", path.read_text()):
            assert "src=" in script or 'type="application/json"' in script
            assert "nonce=" in script

    check_each(TEMPLATES, check, name=relative)


def test_templates_compile() -> None:
    def check(path: Path) -> None:
        get_template(str(path.relative_to(ROOT / "templates")))

    check_each(TEMPLATES, check, name=relative)


# --- contrast (WCAG 2.2, 1.4.3 and 1.4.11) -----------------------------------------------------------------------


def tokens() -> dict[str, tuple[str, str]]:
    """Every token's colour in light and dark."""
    text = (STYLES / "tokens.css").read_text()
    pairs = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", text)
    single = re.findall(r"--([\w-]+): (#[0-9a-f]{6});", text)
    return {name: (light, dark) for name, light, dark in pairs} | {name: (one, one) for name, one in single}


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


GROUNDS = ("canvas", "surface", "sunken", "raised", "hover")
TEXT_ON = [(text, ground) for text in ("text", "text-2", "text-3", "accent", "danger") for ground in GROUNDS]
TEXT_ON += [
    ("on-accent", "accent-fill"), ("on-accent", "accent-fill-hover"), ("on-accent", "danger-fill"),
    ("accent", "accent-soft"), ("text", "accent-soft"), ("text-2", "accent-soft"), ("ok", "ok-soft"),
    ("warn", "warn-soft"), ("danger", "danger-soft"), ("info", "info-soft"), ("text-2", "muted-soft"),
    ("text", "ok-soft"), ("text", "warn-soft"), ("text", "danger-soft"), ("text", "info-soft"),
    ("ins-text", "ins-bg"), ("del-text", "del-bg"), ("pii-text", "pii-bg"), ("warn", "surface"), ("ok", "surface"),
]


def test_text_can_be_read_on_its_ground() -> None:
    found = tokens()

    def check(pair: tuple[str, str]) -> None:
        text, ground = pair
        for theme, mode in enumerate(("light", "dark")):
            assert contrast(found[text][theme], found[ground][theme]) >= 4.5, mode

    check_each(TEXT_ON, check)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["canvas", "surface", "raised"])
def test_edges_of_fields_and_the_focus_ring_can_be_seen(ground: str, theme: int) -> None:
    found = tokens()
    for edge in ("line-strong", "accent"):
        assert contrast(found[edge][theme], found[ground][theme]) >= 3


def test_style_sheets_use_only_tokens_that_exist() -> None:
    def check(path: Path) -> None:
        defined = set(re.findall(r"--([\w-]+):", "".join(sheet.read_text() for sheet in STYLES.glob("*.css"))))
        assert set(re.findall(r"var\(--([\w-]+)", path.read_text())) <= defined

    check_each(sorted(STYLES.glob("*.css")), check, name=relative)


def test_colours_are_written_as_tokens() -> None:
    def check(path: Path) -> None:
        if path.name != "tokens.css":
            assert re.findall(r"#[0-9a-fA-F]{3,8}\b(?![^{]*\{)|rgba?\(", path.read_text()) in ([], ["#ffffff"])

    check_each(sorted(STYLES.glob("*.css")), check, name=relative)


# --- tags ---------------------------------------------------------------------------------------------------------


def render(template: str, /, **context: object) -> str:
    return Template("{% load ui %}" + template).render(Context(context))


def test_placeholders_become_chips_and_everything_else_is_escaped() -> None:
    text = render("{{ text|chips }}", text="<b> <EMAIL_ADDRESS_2> <not_one>")
    assert text == (
        '&lt;b&gt; <span class="pii" title="Personal data, redacted">email address 2</span> &lt;not_one&gt;'
    )


@pytest.mark.parametrize(
    ("status", "tone"),
    [("done", "ok"), ("queued", "wait"), ("running", "run"), ("failed", "bad"), ("warn", "warn"), ("strange", "wait")],
)
def test_a_badge_finds_the_tone_of_a_status(status: str, tone: str) -> None:
    assert f"badge-{tone}" in ui.badge(status)


def test_a_badge_escapes_its_word() -> None:
    assert "<b>" not in ui.badge("ok", "<b>")


@pytest.mark.parametrize(
    ("before", "words"),
    [
        (timedelta(seconds=5), "just now"), (timedelta(minutes=3), "3 min ago"), (timedelta(hours=5), "5 h ago"),
        (timedelta(days=2), "2 d ago"), (timedelta(days=30), "21 Oct 2026"),
        (timedelta(hours=-2), "20 Nov 2026, 14:00"),
    ],
)
def test_times_are_words_near_now(before: timedelta, words: str) -> None:
    assert ui.ago(NOW - before, now=NOW) == words


def test_a_moment_takes_text_and_datetimes_and_leaves_the_rest() -> None:
    assert "2026-11-20T09:12:00+00:00" in ui.moment("2026-11-20T09:12:00Z")
    assert "2026-11-20T12:00:00+00:00" in ui.moment(NOW)
    assert ui.moment("<soon>") == "&lt;soon&gt;"
    assert ui.moment(None) == ""


def test_numbers_are_grouped() -> None:
    assert render("{{ a|number }} {{ b|number }} {{ c|number }} {{ d|percent }} {{ e|clock }}",
                  a=1234567, b=0.25, c=None, d=0.914, e=62_500) == "1,234,567 0.2 – 91 % 1:02"


def test_every_icon_that_templates_name_is_drawn() -> None:
    drawn = set(re.findall(r'<symbol id="(\w+)"', (ROOT / "flywheel/static/img/icons.svg").read_text()))
    text = "".join(path.read_text() for path in TEMPLATES)
    named = set(re.findall(r'{% icon "(\w+)" %}', text)) | set(re.findall(r'icon="(\w+)"', text))
    assert named <= drawn


# --- sparklines ---------------------------------------------------------------------------------------------------


def test_a_sparkline_has_a_line_for_each_stretch_of_days_and_words_for_screen_readers() -> None:
    drawn = render("{% sparkline days %}", days=[None, 1, 3, None, 2, 2])
    assert drawn.count("<polyline") == 2
    assert 'points="16.8,18.0 33.6,2.0"' in drawn
    assert "Last 6 days: from 1, 5 days ago, to 2; least 1, most 3" in drawn
    assert "style=" not in drawn


def test_a_sparkline_of_fewer_than_two_days_is_not_drawn() -> None:
    assert render("{% sparkline days %}", days=[None, 5]).strip() == ""
    assert render("{% sparkline days %}", days=None).strip() == ""


def test_a_number_that_never_changes_is_a_line_through_the_middle() -> None:
    assert 'points="0.0,10.0 84.0,10.0"' in render("{% sparkline days %}", days=[4, 4])
