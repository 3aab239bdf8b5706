"""`{% to "annotate" slug %}`: the address of a page of some app, or "" where it does not exist."""

from __future__ import annotations

from django import template

from flywheel.ui.navigation import link

register = template.Library()


@register.simple_tag
def to(key: str, *parts: object) -> str:
    """The address of the page `key` of flywheel.ui.navigation, with path parts after it."""
    return link(key, *parts)
