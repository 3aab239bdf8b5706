"""Template tags of the design system: icons, badges, numbers, times, redaction chips. docs/design.md shows their use.

They only turn values into markup; which values a page shows is left to its view.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from django import forms, template
from django.forms.boundfield import BoundField
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe

from flywheel.core.json_values import finite

register = template.Library()

TONES = ("ok", "wait", "run", "warn", "bad", "muted")

STATUS_TONES = {
    # finished and good
    "done": "ok", "accepted": "ok", "cleared": "ok", "settled": "ok", "frozen": "ok", "succeeded": "ok",
    "champion": "ok", "processed": "ok", "permit": "ok", "given": "ok", "active": "ok", "promoted": "ok",
    # waiting for someone or something
    "queued": "wait", "open": "wait", "requested": "wait", "received": "wait", "pending": "wait", "candidate": "wait",
    "submitted": "wait", "approved": "wait", "waiting": "wait", "unknown": "wait",
    # in progress
    "running": "run", "cancelling": "run",
    "building": "run", "in_review": "run", "leased": "run", "resuming": "run", "fixed": "run",
    # needs a look
    "stuck": "warn", "stopped": "warn", "retrain_required": "warn",
    "expired": "warn", "skipped": "warn", "returned": "warn", "edited": "warn", "quarantined": "warn",
    "flagged": "warn",
    # stopped
    "failed": "bad", "rejected": "bad", "refused": "bad", "dead": "bad", "tainted": "bad", "withdrawn": "bad",
    "denied": "bad", "erased": "bad", "blocked": "bad",
    # over, without a verdict
    "cancelled": "muted", "retired": "muted", "undone": "muted", "not_chosen": "muted", "archived": "muted",
    "deactivated": "muted", "replaced": "muted", "closed": "muted",
}

PLACEHOLDER = re.compile(r"&lt;([A-Z][A-Z_]*?)_(\d+)&gt;")


@register.simple_tag
def icon(name: str) -> SafeString:
    """One symbol of static/img/icons.svg; decoration only, hidden from screen readers."""
    return format_html(
        '<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><use href="{}#{}"/></svg>',
        static("img/icons.svg"), name,
    )


@register.simple_tag
def badge(status: str, label: str = "") -> SafeString:
    """A status as a word and a shape. `status` is a tone (ok, wait, run, warn, bad, muted) or a known status word."""
    key = str(status)
    # An unknown word gets the tone of waiting, which claims neither success nor failure.
    tone = key if key in TONES else STATUS_TONES.get(key, "wait")
    return format_html('<span class="badge badge-{}">{}</span>', tone, label or key.replace("_", " ").capitalize())


@register.filter
def cancellable_by(job: Any, user: Any) -> bool:
    """Whether the person may cancel this job now, since a template cannot call a method with an argument."""
    return bool(job.can_be_cancelled_by(user))


@register.filter
def chips(text: Any) -> SafeString:
    """Escape text and show redaction placeholders such as <EMAIL_1> as chips."""
    return mark_safe(PLACEHOLDER.sub(_chip, conditional_escape(str(text))))  # noqa: S308  escaped on this very line


@register.filter
def example_title(example: Any) -> str:
    """What names an example in a row: its subject line, redacted, or its external id."""
    return chips((example.redacted_subject_line or example.external_id)[:80])


def _chip(match: re.Match[str]) -> str:
    kind, number = match.group(1).replace("_", " ").lower(), match.group(2)
    return f'<span class="pii" title="Personal data, redacted">{kind} {number}</span>'


@register.filter
def number(value: Any) -> str:
    """1234567 as 1,234,567; a fraction keeps one place; a dash for what is not a number."""
    amount = finite(value)
    if amount is None:
        return "–"
    return f"{amount:,.0f}" if amount.is_integer() else f"{amount:,.1f}"


@register.filter
def percent(value: float | None, places: int = 0) -> str:
    """0.914 as 91 %."""
    return "–" if value is None else f"{value * 100:.{places}f} %"


@register.filter
def clock(milliseconds: int | None) -> str:
    """Milliseconds into a call as 1:02."""
    seconds = int(milliseconds or 0) // 1000
    return f"{seconds // 60}:{seconds % 60:02d}"


@register.simple_tag
def moment(value: Any) -> SafeString:
    """A <time> in words near now ("4 min ago") and as a date further away, with the exact time as its title."""
    at = parse_datetime(value) if isinstance(value, str) else value
    if not isinstance(at, datetime):
        return conditional_escape(value or "")
    # A time without a zone is taken as UTC, because all of Flywheel's times are stored in UTC.
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        at.isoformat(timespec="seconds"), f"{at.astimezone(UTC):%d %b %Y, %H:%M:%S}", ago(at, now=timezone.now()),
    )


@register.simple_tag
def said_at(value: Any) -> SafeString:
    """A <time> with day and minute: in a conversation it matters how long one waited for the other."""
    at = parse_datetime(value) if isinstance(value, str) else value
    if not isinstance(at, datetime):
        return conditional_escape(value or "")
    at = (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC">{}</time>',
        at.isoformat(timespec="seconds"), f"{at:%d %b %Y, %H:%M:%S}", f"{at:%d %b %Y, %H:%M}",
    )


def ago(at: datetime, *, now: datetime) -> str:
    """How long ago, in the largest unit that says enough."""
    seconds = (now - at).total_seconds()
    # Clocks of two machines differ by seconds, so a moment just ahead still counts as now.
    if seconds < -60:
        return f"{at.astimezone(UTC):%d %b %Y, %H:%M}"
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{int(seconds // 60)} min ago"
    if seconds < 86400:
        return f"{int(seconds // 3600)} h ago"
    if seconds < 7 * 86400:
        return f"{int(seconds // 86400)} d ago"
    return f"{at.astimezone(UTC):%d %b %Y}"


@register.filter
def short_hash(value: str | None) -> str:
    """The first twelve digits of a hash."""
    return (value or "")[:12]


@register.filter
def notice_class(message: Any) -> str:
    """The class of a Django message's notice."""
    return {"success": "notice-ok", "warning": "notice-warn", "error": "notice-bad"}.get(message.level_tag, "")


@register.filter
def notice_icon(message: Any) -> str:
    """The icon of a Django message's notice."""
    return {"success": "check", "warning": "alert", "error": "alert"}.get(message.level_tag, "info")


@register.filter
def is_checkbox(field: BoundField) -> bool:
    """Whether a form field is one check box."""
    return isinstance(field.field.widget, forms.CheckboxInput)


@register.filter
def is_choice_group(field: BoundField) -> bool:
    """Whether a form field is a group of radio buttons or check boxes."""
    return isinstance(field.field.widget, (forms.RadioSelect, forms.CheckboxSelectMultiple))


@register.simple_block_tag
def nodata(
    content: str, icon: str, title: str, action_url: str = "", action_label: str = "", extra_class: str = ""
) -> SafeString:
    """What a page shows where a list or a chart has nothing: an icon, a title, the content as its text, one action."""
    return render_to_string("components/empty.html", {
        # The content was rendered by the page's own template, which has escaped the values in it.
        "icon": icon, "title": title, "text": mark_safe(content.strip()), "action_url": action_url,  # noqa: S308
        "action_label": action_label, "extra_class": extra_class,
    })


@register.simple_block_tag
def trouble(
    content: str, title: str, icon: str = "alert", lead: str = "", action_url: str = "/",
    action_label: str = "Go to your home",
) -> SafeString:
    """The whole of a page that says what went wrong: an icon, a title, the content as its text, one way on."""
    return render_to_string("components/trouble.html", {
        "icon": icon, "title": title, "lead": lead, "text": mark_safe(content.strip()),  # noqa: S308 as in nodata
        "action_url": action_url, "action_label": action_label,
    })


@register.inclusion_tag("components/stat.html")
def stat(
    label: str, value: Any, unit: str = "", delta: str = "", url: str = "", spark: Sequence[float | None] | None = None
) -> dict[str, Any]:
    """A number that matters, with its unit, what changed, its last days, and the list that it counts."""
    return {"label": label, "value": value, "unit": unit, "delta": delta, "url": url, "spark": spark}


@register.simple_tag
def current(chosen: Any, this: Any) -> SafeString:
    """The attribute of the link to what is shown now; nothing for the others."""
    return SafeString(' aria-current="page"') if (chosen or "") == this else SafeString("")


SPARK_WIDTH, SPARK_HEIGHT = 84, 20


@register.inclusion_tag("components/sparkline.html")
def sparkline(days: Sequence[float | None] | None) -> dict[str, Any]:
    """A number's last days as a line, oldest first; a gap where a day was not counted, nothing below two values.

    A screen reader hears the first, the last, the least and the most instead.
    """
    values = [value for value in days or () if value is not None]
    # One value is a point and not a course, so nothing is drawn.
    if len(values) < 2 or days is None:
        return {"parts": []}
    low, high = min(values), max(values)
    step = SPARK_WIDTH / (len(days) - 1)
    parts: list[list[str]] = [[]]
    for place, value in enumerate(days):
        if value is None:
            # A new part after a gap, because a line across it would show values that were not counted.
            parts.append([])
            continue
        # A line that never changes runs through the middle.
        share = (value - low) / (high - low) if high > low else 0.5
        parts[-1].append(f"{place * step:.1f},{SPARK_HEIGHT - 2 - share * (SPARK_HEIGHT - 4):.1f}")
    age = len(days) - next(place for place, value in enumerate(days) if value is not None)
    return {
        "parts": [" ".join(part) for part in parts if len(part) > 1],
        "end": parts[-1][-1].split(",") if parts[-1] else None, "width": SPARK_WIDTH, "height": SPARK_HEIGHT,
        "words": (
            f"Last {len(days)} days: from {number(values[0])}, {age} days ago, to {number(values[-1])}; "
            f"least {number(low)}, most {number(high)}"
        ),
    }
