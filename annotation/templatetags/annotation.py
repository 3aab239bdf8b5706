"""Template filters of annotation's pages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from annotation.controls import BY_TYPE
from flywheel.ui.templatetags.ui import chips

register = template.Library()


@register.filter
def get(mapping: Mapping[Any, Any], key: Any) -> Any:
    """The value of a key that is itself a variable."""
    return mapping.get(key)


@register.filter
def duration(seconds: float | None) -> str:
    """Working time: 95 as 1:35 min."""
    if not seconds:
        return "–"
    whole = int(seconds)
    return f"{whole // 60}:{whole % 60:02d} min" if whole >= 60 else f"{whole} s"


@register.simple_tag
def diff_marks(pieces: Iterable[Any]) -> SafeString:
    """A difference as text with what was inserted and deleted marked; no white space is added between the pieces."""
    marks = {"ins": "<ins>{}</ins>", "del": "<del>{}</del>"}
    return SafeString("".join(format_html(marks.get(piece.kind, "{}"), piece.text) for piece in pieces))


@register.simple_tag
def found_marks(pieces: Iterable[Any]) -> SafeString:
    """A reply with the personal data that was found in it marked; no white space is added between the pieces."""
    return SafeString("".join(
        chips(piece.text) if not piece.span else format_html(
            '<mark class="found{}" title="{}">{}</mark>', " found-kept" if piece.span.get("kept") else "",
            "Kept as it is" if piece.span.get("kept") else f"Personal data: {piece.span['placeholder']} in snapshots",
            piece.text,
        )
        for piece in pieces
    ))


@register.simple_tag
def control_scripts() -> list[str]:
    """The addresses of the scripts of all controls. They must come before the script that asks them."""
    return [static(f"js/controls/{type_}.js") for type_ in sorted(BY_TYPE)]
