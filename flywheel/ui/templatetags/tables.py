"""`{% table page as task %} {% cell "state" %}…{% endcell %} … {% norows %}…{% endtable %}`: a list with its own cells.

`page` is a `flywheel.ui.tables.TablePage`. Every column needs a cell. What is after `{% norows %}` is shown instead of
the table when the list is empty; `page.filtered` says whether that is because of filters.
"""

from __future__ import annotations

from typing import Any

from django import template
from django.template.base import FilterExpression, NodeList, Parser, Token
from django.template.loader import get_template
from django.utils.safestring import SafeString, mark_safe

from flywheel.ui.tables import TablePage

register = template.Library()


class CellNode(template.Node):
    """The cell of one column."""

    def __init__(self, key: str, nodelist: NodeList) -> None:
        self.key = key
        self.nodelist = nodelist

    def render(self, context: template.Context) -> SafeString:
        """Its content; the table writes the element around it."""
        return self.nodelist.render(context)


class TableNode(template.Node):
    """A list: filters, table, pager."""

    # Django finds nodes such as blocks through these names, and the default is "nodelist" alone.
    child_nodelists = ("nodelist", "empty")

    def __init__(self, page: FilterExpression, name: str, nodelist: NodeList, empty: NodeList) -> None:
        self.page = page
        self.name = name
        self.nodelist = nodelist
        self.empty = empty
        self.cells = {node.key: node for node in nodelist.get_nodes_by_type(CellNode) if isinstance(node, CellNode)}

    def render(self, context: template.Context) -> SafeString:
        """The component's template, with the cells of the shown columns."""
        page: TablePage[Any] = self.page.resolve(context)
        # Every column is compared, also hidden ones: a missing cell would only show once a person chooses that column.
        if differ := {column.key for column in page.table.columns} ^ self.cells.keys():
            raise template.TemplateSyntaxError(f"table of {page.table.things}: columns without cells {sorted(differ)}")
        rows = []
        for row in page.rows:
            with context.push(**{self.name: row, "extra": page.extras.get(row.pk)}):
                # The cells are rendered by Django's engine, which has escaped the values in them.
                cells = [(c, mark_safe(self.cells[c.key].render(context).strip())) for c in page.shown]  # noqa: S308
            rows.append({"row": row, "cells": cells, "selectable": page.selectable(row)})
        with context.push(table=page, rows=rows, empty="" if rows else self.empty.render(context)):
            return get_template("components/table.html").template.render(context)  # type: ignore[attr-defined, no-any-return]


@register.tag("cell")
def cell_tag(parser: Parser, token: Token) -> CellNode:
    """The cell of the column with this key."""
    try:
        _, key = token.split_contents()
    except ValueError:
        raise template.TemplateSyntaxError("write {% cell \"column\" %}") from None
    nodelist = parser.parse(("endcell",))
    parser.delete_first_token()
    return CellNode(key.strip("\"'"), nodelist)


@register.tag("table")
def table_tag(parser: Parser, token: Token) -> TableNode:
    """A list; see the module."""
    try:
        _, page, _as, name = token.split_contents()
    except ValueError:
        raise template.TemplateSyntaxError("write {% table page as row %}") from None
    nodelist = parser.parse(("norows", "endtable"))
    empty = NodeList()
    if parser.next_token().contents == "norows":
        empty = parser.parse(("endtable",))
        parser.delete_first_token()
    return TableNode(parser.compile_filter(page), name, nodelist, empty)
