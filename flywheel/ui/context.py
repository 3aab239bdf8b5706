"""What every page's template is given: the navigation of the person's roles, built only if a template shows it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest

from flywheel.core.access import ROLES, roles_of
from flywheel.ui.navigation import NAVIGATION, PATHS, link


def navigation(request: HttpRequest) -> dict[str, Any]:
    """`nav`: groups of items; `nav_roles`: the person's roles in words. Both are callables, so that fragments that
    show no navigation ask the database nothing."""
    def words() -> str:
        held = roles_of(getattr(request, "user", None))
        return ", ".join(role for role in ROLES if role in held)

    return {"nav": lambda: groups(request), "nav_roles": words}


def groups(request: HttpRequest) -> list[dict[str, Any]]:
    """Groups of `{title, entries: [{label, url, icon, active}]}`; groups without an entry are left out."""
    # An error page may be rendered before the middleware has set a user.
    user = getattr(request, "user", AnonymousUser())
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in NAVIGATION:
        url = link(entry.key)
        if url and entry.shown_to(user):
            found.setdefault(entry.group, []).append(
                {"label": entry.label, "url": url, "icon": entry.icon, "active": _active(request.path, entry.key)}
            )
    return [{"title": title, "entries": entries} for title, entries in found.items()]


def _active(path: str, key: str) -> bool:
    # Every path begins with "/", so the home page is compared as a whole.
    return path == "/" if key == "home" else path.startswith(PATHS[key])
