"""Keyset paging for pages: the cost of a page does not depend on how far in it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model, Q, QuerySet

from flywheel.core.text import whole_number

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class KeysetPage(Generic[M]):
    """Rows of one page. `next` and `previous` are values for the address's `after` and `before`, "" for none."""

    rows: list[M]
    next: str
    previous: str


def keyset_page(
    queryset: QuerySet[M], params: Any, *, per_page: int = 50, newest_first: bool = True, field: str = "pk",
) -> KeysetPage[M]:
    """One page of `queryset`, ordered by `field` and, among equal values, by primary key.

    params: request.GET with an optional `after` or `before`; a cursor that cannot be read is taken as none.
    newest_first: descending. `field` must be a column of the model itself with an index that begins with what the
    queryset filters by and ends in (field, primary key). A row without a value counts as smaller than every value.
    """
    walk = _Walk(queryset, "pk" if field == queryset.model._meta.pk.name else field)
    after, before = walk.cursor(params.get("after")), walk.cursor(params.get("before"))
    backwards = before is not None and after is None
    cursor = before if backwards else after
    rows = walk.rows(cursor, descending=newest_first != backwards, limit=per_page + 1)
    more, rows = len(rows) > per_page, rows[:per_page]
    if backwards:
        rows.reverse()
    has_next = bool(rows) and (more if not backwards else True)
    has_previous = bool(rows) and (more if backwards else after is not None)
    return KeysetPage(
        rows=rows, next=walk.text(rows[-1]) if has_next else "", previous=walk.text(rows[0]) if has_previous else ""
    )


@dataclass(frozen=True, slots=True)
class _Cursor:
    """The place of one row: its primary key and its value in the field that is sorted by."""

    pk: int
    value: Any = None


@dataclass(frozen=True, slots=True)
class _Walk(Generic[M]):
    queryset: QuerySet[M]
    field: str

    def cursor(self, text: str | None) -> _Cursor | None:
        """`12` by primary key or for a row without a value, else `12.value`; None for anything else."""
        number, dot, value = (text or "").partition(".")
        pk = whole_number(number)
        if pk is None:
            return None
        if not dot:
            return _Cursor(pk) if self.field == "pk" or self._may_be_empty() else None
        if self.field == "pk":
            return None
        try:
            return _Cursor(pk, self._column().to_python(value))
        except ValidationError:
            return None

    def text(self, row: M) -> str:
        """The cursor of a row."""
        if self.field == "pk" or getattr(row, self.field) is None:
            return str(row.pk)
        return f"{row.pk}.{self._column().value_to_string(row)}"

    def rows(self, cursor: _Cursor | None, *, descending: bool, limit: int) -> list[M]:
        """Up to `limit` rows beyond the cursor."""
        found: list[M] = []
        for part in self._parts(cursor, descending):
            found += part[: limit - len(found)]
            if len(found) == limit:
                break
        return found

    def _parts(self, cursor: _Cursor | None, descending: bool) -> Iterator[QuerySet[M]]:
        # One query over both would be `value < x OR value IS NULL`, for which no engine walks an index; and the engines
        # disagree on where NULL sorts.
        order = [f"-{name}" if descending else name for name in dict.fromkeys((self.field, "pk"))]
        past = "lt" if descending else "gt"
        if self.field == "pk":
            yield (self.queryset.filter(**{f"pk__{past}": cursor.pk}) if cursor else self.queryset).order_by(*order)
            return
        for empty in ([False, True] if descending else [True, False]) if self._may_be_empty() else [False]:
            part = self.queryset.filter(**{f"{self.field}__isnull": empty}) if self._may_be_empty() else self.queryset
            if cursor is not None and (cursor.value is None) == empty:
                beyond = Q(**{f"pk__{past}": cursor.pk})
                if not empty:
                    # The first condition is implied by the second, and is what an index can be entered with.
                    part = part.filter(**{f"{self.field}__{past}e": cursor.value})
                    beyond |= Q(**{f"{self.field}__{past}": cursor.value})
                yield part.filter(beyond).order_by(*order)
            elif cursor is None or empty == descending:
                yield part.order_by(*order)

    def _column(self) -> Any:
        return self.queryset.model._meta.get_field(self.field)

    def _may_be_empty(self) -> bool:
        return self.field != "pk" and bool(self._column().null)
