"""Template filters of annotation's pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template
from django.templatetags.static import static

from annotation.controls import BY_TYPE

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
def control_scripts() -> list[str]:
    """The addresses of the scripts of all controls. They must come before the script that asks them."""
    return [static(f"js/controls/{type_}.js") for type_ in sorted(BY_TYPE)]
