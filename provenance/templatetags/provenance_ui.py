"""Display names of purposes, consent states and rules."""

from __future__ import annotations

from django import template

from provenance.domain.gate import RULES
from provenance.domain.vocabulary import PURPOSE_NAMES, STATE_NAMES

register = template.Library()


@register.filter
def rule_name(rule: str) -> str:
    """The display name of a rule. A rule of another gate becomes words."""
    return RULES.get(rule) or rule.replace("_", " ").capitalize()


@register.filter
def purpose_name(purpose: str) -> str:
    """The display name of a purpose."""
    return PURPOSE_NAMES.get(purpose, purpose)


@register.filter
def purpose_names(purposes: list[str]) -> str:
    """Display names of several purposes."""
    return ", ".join(purpose_name(p) for p in purposes)


@register.filter
def state_name(state: str) -> str:
    """The display name of a consent state."""
    return STATE_NAMES.get(state, state)
