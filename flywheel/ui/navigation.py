"""Addresses of the pages that the home page's numbers and the navigation link to, in one list."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from django.urls import Resolver404, resolve

from flywheel.core.access import ADMIN, ANNOTATOR, LEAD, REVIEWER, STEWARD, roles_of
from flywheel.core.permissions import Person, allow

# Paths and not names of views: the pages belong to apps above this one, and an installation may lack some.
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
    """One item of the navigation. It is shown to people with its permission and, if roles are named, one of these."""

    group: str
    key: str
    label: str
    icon: str
    permission: str = ""
    roles: tuple[str, ...] = ()

    def shown_to(self, user: Person) -> bool:
        """Whether the item is shown to the person; one without a permission is shown to everyone."""
        return not self.permission or (
            allow(self.permission, user) and (not self.roles or not roles_of(user).isdisjoint(self.roles))
        )


# Everyone may open the pages with roles here, but only people with these roles regularly find work on them.
NAVIGATION = (
    Entry("", "home", "Home", "home"),
    Entry("", "wheel", "Wheel", "wheel", "wheel.view"),
    Entry("Work", "annotate", "Annotate", "pen", "project.choose", (ANNOTATOR,)),
    Entry("Work", "review", "Review", "review", "project.choose", (REVIEWER,)),
    Entry("Work", "projects", "Projects", "folder", "project.view", (LEAD, ADMIN)),
    Entry("Data", "sources", "Sources", "source", "source.view"),
    Entry("Data", "examples", "Examples", "example", "example.view"),
    Entry("Data", "clearance", "Clearance", "shield", "clearance.view"),
    Entry("Data", "subjects", "Subjects", "person", "subject.view"),
    Entry("Data", "ledger", "Ledger", "ledger", "ledger.view"),
    Entry("Training", "snapshots", "Snapshots", "box", "snapshot.view"),
    Entry("Training", "runs", "Runs", "run", "run.view"),
    Entry("Training", "models", "Models", "model", "model.view"),
    Entry("Training", "recipes", "Recipes", "gear", "recipe.view"),
    Entry("Training", "budgets", "Budgets", "budget", "budget.view"),
    Entry("Administration", "people", "People", "people", "person.manage"),
    Entry("Administration", "jobs", "Jobs", "jobs", "job.view", (LEAD, STEWARD, ADMIN)),
)

_ENTRIES = {entry.key: entry for entry in NAVIGATION}

# Kept for the life of the process, because addresses do not change while it runs and each page asks for twenty.
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


def link_for(user: Person, key: str) -> str:
    """The address of a page for this person; "" if the installation has no such page or the navigation hides it."""
    entry = _ENTRIES.get(key)
    return link(key) if entry is None or entry.shown_to(user) else ""
