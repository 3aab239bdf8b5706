"""Names for people of purposes and of the gates' rules."""

from __future__ import annotations

from django import template

from provenance.domain.gate import RULES
from provenance.domain.vocabulary import PURPOSE_NAMES, STATE_NAMES

register = template.Library()


@register.filter
def rule_name(rule: str) -> str:
    """A rule of the gate by its name for people; one that is not the gate's own in words."""
    return RULES.get(rule) or rule.replace("_", " ").capitalize()


@register.filter
def purpose_name(purpose: str) -> str:
    """A purpose by its name for people."""
    return PURPOSE_NAMES.get(purpose, purpose)


@register.filter
def purpose_names(purposes: list[str]) -> str:
    """Several purposes by their names."""
    return ", ".join(purpose_name(p) for p in purposes)


@register.filter
def state_name(state: str) -> str:
    """A consent state by its name for people."""
    return STATE_NAMES.get(state, state)
