"""Where home's numbers and the navigation lead. One list, so that a page that moves is changed in one place."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from django.urls import Resolver404, resolve

from flywheel.core.access import ADMIN, ANNOTATOR, LEAD, REVIEWER, STEWARD

PATHS = {
    "annotate": "/annotate/",
    "review": "/review/",
    "projects": "/projects/",
    "examples": "/examples/",
    "sources": "/sources/",
    "deliveries": "/deliveries/",
    "clearance": "/clearance/",
    "subjects": "/subjects/",
    "ledger": "/ledger/",
    "snapshots": "/snapshots/",
    "runs": "/runs/",
    "models": "/models/",
    "budgets": "/budgets/",
    "recipes": "/recipes/",
    "wheel": "/wheel/",
    "jobs": "/jobs/",
    "people": "/people/",
    "tokens": "/tokens/",
    "home": "/",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of the navigation: who sees it, and under which heading."""

    group: str
    key: str
    label: str
    icon: str
    roles: frozenset[str] = frozenset()


def _entry(group: str, key: str, label: str, icon: str, *roles: str) -> Entry:
    return Entry(group, key, label, icon, frozenset(roles))


NAVIGATION = (
    _entry("", "home", "Home", "home"),
    _entry("", "wheel", "Wheel", "wheel", LEAD, STEWARD, ADMIN),
    _entry("Work", "annotate", "Annotate", "pen", ANNOTATOR),
    _entry("Work", "review", "Review", "review", REVIEWER),
    _entry("Work", "projects", "Projects", "folder", LEAD, ADMIN),
    _entry("Data", "sources", "Sources", "source", LEAD, STEWARD, ADMIN),
    _entry("Data", "examples", "Examples", "example", LEAD, STEWARD, ADMIN),
    _entry("Data", "clearance", "Clearance", "shield", STEWARD, ADMIN),
    _entry("Data", "subjects", "Subjects", "person", STEWARD, ADMIN),
    _entry("Data", "ledger", "Ledger", "ledger", STEWARD, ADMIN),
    _entry("Training", "snapshots", "Snapshots", "box", LEAD, STEWARD, ADMIN),
    _entry("Training", "runs", "Runs", "run", LEAD, STEWARD, ADMIN),
    _entry("Training", "models", "Models", "model", LEAD, STEWARD, ADMIN),
    _entry("Training", "recipes", "Recipes", "gear", LEAD, STEWARD, ADMIN),
    _entry("Training", "budgets", "Budgets", "budget", ADMIN),
    _entry("House", "people", "People", "people", ADMIN),
    _entry("House", "jobs", "Jobs", "jobs", LEAD, STEWARD, ADMIN),
)

_ROLES_OF = {entry.key: entry.roles for entry in NAVIGATION}

_known: dict[str, bool] = {}


def link(key: str, *parts: object) -> str:
    """The address of a page, or of one thing below it; "" when this installation has no such page.

    Whether there is one is looked up once per kind of page, not per thing.
    """
    path = PATHS[key] + "".join(f"{quote(str(part), safe='')}/" for part in parts)
    kind = f"{key}/{len(parts)}"
    if kind not in _known:
        try:
            resolve(path)
            _known[kind] = True
        except Resolver404:
            _known[kind] = False
    return path if _known[kind] else ""


def link_for(roles: frozenset[str] | set[str], key: str) -> str:
    """The address of a page that a person with these roles may open; "" when there is none or it is not for them."""
    wanted = _ROLES_OF.get(key, frozenset())
    return link(key) if not wanted or wanted & roles else ""
