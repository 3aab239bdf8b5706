"""Keyset paging for pages: the cost of a page does not depend on how far in it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet

from flywheel.core.text import whole_number

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class KeysetPage(Generic[M]):
    """Rows of one page. `next` and `previous` are values for the address's `after` and `before`, "" for none."""

    rows: list[M]
    next: str
    previous: str


def keyset_page(queryset: QuerySet[M], params: Any, *, per_page: int = 50, newest_first: bool = True) -> KeysetPage[M]:
    """One page of `queryset` by primary key. `params` is request.GET with an optional `after` or `before`.

    A cursor that is not a whole number is taken as none.
    """
    after, before = whole_number(params.get("after")), whole_number(params.get("before"))
    down, up = ("lt", "gt") if newest_first else ("gt", "lt")
    order = "-pk" if newest_first else "pk"
    backwards = before is not None and after is None
    if backwards:
        order = order.removeprefix("-") if order.startswith("-") else f"-{order}"
        queryset = queryset.filter(**{f"pk__{up}": before})
    elif after is not None:
        queryset = queryset.filter(**{f"pk__{down}": after})
    rows = list(queryset.order_by(order)[: per_page + 1])
    more, rows = len(rows) > per_page, rows[:per_page]
    if backwards:
        rows.reverse()
    has_next = bool(rows) and (more if not backwards else True)
    has_previous = bool(rows) and (more if backwards else after is not None)
    return KeysetPage(
        rows=rows, next=str(rows[-1].pk) if has_next else "", previous=str(rows[0].pk) if has_previous else ""
    )
