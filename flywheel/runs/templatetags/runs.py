"""Filters of the pages of runs: durations, money, file sizes. They only turn values into words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import template

from flywheel.core.json_values import finite

register = template.Library()


@register.filter
def duration(seconds: float | str | None) -> str:
    """90.4 as "1 min 30 s", 5400 as "1 h 30 min"; under ten seconds one place is kept."""
    value = finite(seconds)
    if value is None:
        return "–"
    if value < 10:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
    minutes = whole // 60
    return f"{minutes // 60:,} h" + (f" {minutes % 60} min" if minutes % 60 else "")


@register.filter
def money(value: Any) -> str:
    """0.0123 as 0.0123, 12.3 as 12.30: four places below one, two above."""
    if value is None or value == "":
        return "–"
    amount = Decimal(str(value))
    return f"{amount:,.4f}" if abs(amount) < 1 and amount else f"{amount:,.2f}"


@register.filter
def loss(value: float | str | None) -> str:
    """A loss with four places; a dash for none (templates give "" for a missing value) and for other values."""
    amount = finite(value)
    return "–" if amount is None else f"{amount:.4f}"


@register.filter
def size(value: int | None) -> str:
    """Bytes as 1.2 MB."""
    amount = float(value or 0)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"
