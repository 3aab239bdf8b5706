"""The list of people."""

from __future__ import annotations

from django.db.models import Q

from flywheel.core.access import ROLES
from flywheel.core.models import User
from flywheel.ui.tables import Column, Facet, Search, Table, View, holds

PEOPLE: Table[User] = Table(
    things="people",
    columns=(
        Column("person", "Person", sort="username", main=True),
        Column("username", "User name", shown=False),
        Column("roles", "Roles"),
        Column("joined", "Added", sort="pk", shown=False),
        Column("last_login", "Last sign-in", sort="last_login"),
        Column("account", "Account"),
    ),
    search=Search("Search", holds("username", "display_name"), "Name or user name"),
    facets=(
        Facet("role", "Role", "groups__name", tuple((name, name.capitalize()) for name in ROLES)),
        Facet(
            "state", "Account", lambda value: Q(is_active=value == "active"),
            (("active", "Active"), ("off", "Deactivated")),
        ),
    ),
    views=(View("Longest without a sign-in", "sort=last_login&state=active"),),
)
