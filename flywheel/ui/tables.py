"""The one table of every list page: search, facets, sort, choice of columns, selection, saved views, keyset paging.

An app declares its lists as `Table` objects in its `tables.py`. A view passes its queryset through `Table.page`, and
the template writes the cells between `{% table %}` and `{% endtable %}`. Everything that a person chooses is in the
address, so an address is a view. The design is in docs/decisions/0011-one-table-for-every-list.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from django.db.models import Model, Q, QuerySet
from django.http import HttpRequest, QueryDict

from flywheel.core.paging import KeysetPage, keyset_page
from flywheel.core.text import plain_lines
from flywheel.ui.models import SavedView
from flywheel.ui.saved_views import views_of

M = TypeVar("M", bound=Model)

SEARCH, SORT, COLUMNS, BEFORE, AFTER = "q", "sort", "cols", "before", "after"
SEARCH_LENGTH = 300

Choices = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    sort: the field of the list's model that it sorts by, "" for a column that does not sort. There must be an index for
    it, because sorting must not read the whole table; tests/flywheel/ui/test_lists.py asks PostgreSQL.
    shown: whether it is shown to people who have not chosen columns. main: names the row; it takes the free width and
    cannot be hidden. numeric: right-aligned.
    """

    key: str
    label: str
    sort: str = ""
    numeric: bool = False
    shown: bool = True
    main: bool = False


@dataclass(frozen=True, slots=True)
class Facet:
    """One filter. `where` is a field, or a function from the chosen value to a condition.

    choices: value and label of each choice. Without choices the view passes them to `Table.page`, or, for a facet that
    is `typed`, the person types the value. linked: only links set it, so it has no field, and shows once it is set.
    """

    key: str
    label: str
    where: str | Callable[[str], Q]
    choices: Choices = ()
    typed: bool = False
    linked: bool = False

    def condition(self, value: str) -> Q:
        """The rows with this value; an unknown value selects none."""
        return Q(**{self.where: value}) if isinstance(self.where, str) else self.where(value)


@dataclass(frozen=True, slots=True)
class Search:
    """The search field; `where` turns what was typed into a condition that an index answers."""

    label: str
    where: Callable[[str], Q]
    hint: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """A view that comes with the table: a name and the query of its address."""

    name: str
    query: str


@dataclass(frozen=True, slots=True)
class BulkAct:
    """What can be done to the selected rows: the label of its button and the address that the selection is sent to."""

    label: str
    url: str
    selectable: Callable[[Any], bool] = lambda row: True


@dataclass(frozen=True, slots=True)
class Table(Generic[M]):
    """The declaration of one list."""

    things: str
    """What the rows are, in the plural: "tasks"."""
    columns: tuple[Column, ...]
    search: Search | None = None
    facets: tuple[Facet, ...] = ()
    views: tuple[View, ...] = ()
    sort: str = "-pk"
    """The field that is sorted by until the person chooses, with "-" for descending."""
    per_page: int = 50

    def page(
        self, request: HttpRequest, rows: QuerySet[M], *, choices: Mapping[str, Choices] | None = None,
        counts: Mapping[str, Mapping[str, int | None]] | None = None, scope: Iterable[str] = (),
        acts: Sequence[BulkAct] = (),
    ) -> TablePage[M]:
        """The page of `rows` that the address asks for.

        choices: of the facets that are declared without any. counts: how many rows each choice of a facet has, where
        that has been counted. scope: names of parameters that the view has applied itself, kept by every link of the
        table. acts: what this person may do to selected rows.
        """
        params = request.GET
        chosen = self.chosen(params)
        rows = self.narrow(params, rows)
        searched = _text(params, SEARCH) if self.search else ""
        if self.search and searched:
            rows = rows.filter(self.search.where(searched))
        asked, known = _text(params, SORT), {column.sort for column in self.columns if column.sort}
        # The name comes from the address: any other field could expose its values by their order, or have no index.
        sort = asked if asked.removeprefix("-") in known else self.sort
        page = keyset_page(
            rows, params, per_page=self.per_page, newest_first=sort.startswith("-"), field=sort.removeprefix("-"),
        )
        # Unknown names are dropped, because a saved view may name a column that a later version removed.
        wanted = set(params.getlist(COLUMNS)) & {column.key for column in self.columns}
        kept = [(name, value) for name in scope if (value := _text(params, name))]
        return TablePage(
            table=self, page=page, request=request, searched=searched, chosen=chosen, sort=sort, kept=kept,
            shown=[c for c in self.columns if c.main or (c.key in wanted if wanted else c.shown)],
            columns_chosen=bool(wanted), choices=choices or {}, counts=counts or {}, acts=list(acts),
        )

    def chosen(self, params: QueryDict) -> dict[str, str]:
        """The facets that the address sets, with their values."""
        return {facet.key: value for facet in self.facets if (value := _text(params, facet.key))}

    def narrow(self, params: QueryDict, rows: QuerySet[M]) -> QuerySet[M]:
        """The rows that the facets in the address select; the API's lists take the same facets."""
        chosen = self.chosen(params)
        for facet in self.facets:
            if facet.key in chosen:
                rows = rows.filter(facet.condition(chosen[facet.key]))
        return rows


@dataclass(slots=True)
class TablePage(Generic[M]):
    """One page of a list, with everything that its template shows."""

    table: Table[M]
    page: KeysetPage[M]
    request: HttpRequest
    searched: str
    chosen: dict[str, str]
    sort: str
    kept: list[tuple[str, str]]
    shown: list[Column]
    columns_chosen: bool
    choices: Mapping[str, Choices]
    counts: Mapping[str, Mapping[str, int | None]]
    acts: list[BulkAct] = field(default_factory=list)
    extras: Mapping[int, Any] = field(default_factory=dict)
    """What the view knows beside a row, by primary key; a cell reads it as `extra`."""

    @property
    def rows(self) -> list[M]:
        """The rows of this page."""
        return self.page.rows

    @property
    def filtered(self) -> bool:
        """Whether a search, a facet or the view's own scope leaves rows out."""
        return bool(self.searched or self.chosen or self.kept)

    def address(self, **changes: str | list[str] | None) -> str:
        """This page's query with changes, at the list's beginning; None removes a parameter."""
        asked: dict[str, str | list[str] | None] = dict(self.kept)
        asked |= {SEARCH: self.searched or None, **self.chosen}
        asked |= {SORT: None if self.sort == self.table.sort else self.sort}
        asked |= {COLUMNS: self._columns or None, **changes}
        # Empty values are left out, so that the same choices give the same address.
        query = urlencode({name: value for name, value in asked.items() if value}, doseq=True)
        return f"{self.request.path}?{query}" if query else self.request.path

    @property
    def _columns(self) -> list[str]:
        # The main column is always shown, so the form that chooses columns has no field for it.
        return [column.key for column in self.shown if not column.main] if self.columns_chosen else []

    @property
    def heads(self) -> list[dict[str, Any]]:
        """The shown columns with their order, as ARIA names it, and the address that sorts by them."""
        heads = []
        for column in self.shown:
            orders = {column.sort: "ascending", f"-{column.sort}": "descending"}
            order = orders.get(self.sort, "") if column.sort else ""
            # Numbers and times are wanted largest or newest first, names from A.
            first = column.sort if column.main and column.sort != "pk" else f"-{column.sort}"
            opposite = column.sort if self.sort.startswith("-") else f"-{column.sort}"
            heads.append({
                "column": column, "order": order,
                "url": self.address(sort=opposite if order else first) if column.sort else "",
            })
        return heads

    @property
    def filters(self) -> list[dict[str, Any]]:
        """The facets with their choices, what was chosen, and the counts that are known."""
        found = []
        for facet in self.table.facets:
            if facet.linked and facet.key not in self.chosen:
                continue
            counts = self.counts.get(facet.key, {})
            choices = facet.choices or self.choices.get(facet.key, ())
            value = self.chosen.get(facet.key, "")
            if value and not (facet.typed or facet.linked) and value not in dict(choices):
                # A choice that was removed, or a value typed into the address: shown, so that it can be taken away.
                choices = [*choices, (value, value)]
            found.append({
                "facet": facet, "value": value,
                "choices": [(key, label, counts.get(key)) for key, label in choices],
            })
        return found

    @property
    def chips(self) -> list[tuple[str, str, str]]:
        """What is filtered by: its name, its value in words, and the address without it."""
        chips = [("Search", self.searched, self.address(q=None))] if self.searched else []
        for shown in self.filters:
            if shown["value"]:
                words = {key: label for key, label, _ in shown["choices"]}.get(shown["value"], shown["value"])
                chips.append((shown["facet"].label, words, self.address(**{shown["facet"].key: None})))
        return chips

    @property
    def hidden(self) -> list[tuple[str, str]]:
        """What the filter form must carry on beside its own fields."""
        carried = list(self.kept)
        carried += [(f.key, self.chosen[f.key]) for f in self.table.facets if f.linked and f.key in self.chosen]
        if self.sort != self.table.sort:
            carried.append((SORT, self.sort))
        return carried + [(COLUMNS, key) for key in self._columns]

    @property
    def hidden_for_columns(self) -> list[tuple[str, str]]:
        """What the form that chooses columns must carry on."""
        searched = [(SEARCH, self.searched)] if self.searched else []
        # `hidden` has the linked facets already, and a form must not send a field twice.
        linked = {facet.key for facet in self.table.facets if facet.linked}
        fields = [(key, value) for key, value in self.chosen.items() if key not in linked]
        return [pair for pair in self.hidden if pair[0] != COLUMNS] + searched + fields

    @property
    def reset(self) -> str:
        """The address without search and facets."""
        return self.address(**{SEARCH: None}, **dict.fromkeys(self.chosen))

    @property
    def without_columns(self) -> str:
        """The address with the columns that the table shows by itself."""
        return self.address(cols=None)

    @property
    def saved(self) -> list[SavedView]:
        """The person's own views of this list, read when the template asks for them."""
        return views_of(self.request.user, self.request.path)

    @property
    def query(self) -> str:
        """The query of this view, without the page."""
        return self.address().partition("?")[2]

    def selectable(self, row: M) -> bool:
        """Whether any act can be done to this row."""
        return any(act.selectable(row) for act in self.acts)


def _text(params: QueryDict, name: str) -> str:
    return plain_lines(params.get(name, "")).strip()[:SEARCH_LENGTH]


def begins(*fields: str) -> Callable[[str], Q]:
    """A search for rows of which a field begins with what was typed."""
    return lambda text: _any(fields, "startswith", text)


def holds(*fields: str) -> Callable[[str], Q]:
    """A search for rows of which a field holds what was typed; for lists of some hundreds of rows only."""
    return lambda text: _any(fields, "icontains", text)


def _any(fields: Iterable[str], lookup: str, text: str) -> Q:
    # One condition per field joined by OR, which lets the planner combine one index per field.
    condition = Q()
    for name in fields:
        condition |= Q(**{f"{name}__{lookup}": text})
    return condition
