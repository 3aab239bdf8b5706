"""Saved views: a person names the address of a list and finds it again on that list."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict
from django.urls import Resolver404, resolve

from flywheel.core.errors import NotFound, ValidationFailed
from flywheel.core.models import User
from flywheel.core.text import plain_lines
from flywheel.ui.models import SavedView

PER_LIST = 30
"""More would no longer be found at a glance."""


def views_of(user: Any, path: str) -> list[SavedView]:
    """The person's views of the list at this path, by name."""
    return list(SavedView.objects.filter(user=user, path=path).order_by("name")[:PER_LIST])


def view_save(*, user: User, path: str, query: str, name: str) -> SavedView:
    """Save a view, or give the name to another query. Raises ValidationFailed.

    The place within the list is left out, because rows come and go.
    """
    try:
        # Resolved now, because the page redirects to this path: any other text could lead to another site.
        resolve(path)
    except Resolver404:
        raise ValidationFailed(f"{path[:60]!r} is not a page of this installation; save a view on its list") from None
    name = " ".join(plain_lines(name).split())
    if not name or len(name) > 60:
        raise ValidationFailed("a view needs a name of 1 to 60 characters", field="name")
    asked = QueryDict(plain_lines(query), mutable=True)
    for cursor in ("after", "before"):
        asked.pop(cursor, None)
    if len(path) > 300 or len(asked.urlencode()) > 2000:
        raise ValidationFailed("this view's address is longer than 2,000 characters; use fewer filters")
    # The view of this name does not count, because saving replaces it.
    others = SavedView.objects.filter(user=user, path=path).exclude(name=name)
    if others.count() >= PER_LIST:
        raise ValidationFailed(f"a list holds up to {PER_LIST} saved views; delete one first")
    view, _ = SavedView.objects.update_or_create(
        user=user, path=path, name=name, defaults={"query": asked.urlencode()}
    )
    return view


def view_delete(*, user: User, pk: int) -> SavedView:
    """Delete one of the person's views. Raises NotFound, for other people's too."""
    # Filtered by owner, so the keys of other people's views are answered like missing ones.
    view = SavedView.objects.filter(user=user, pk=pk).first()
    if view is None:
        raise NotFound(f"you have no saved view {pk}")
    view.delete()
    return view
