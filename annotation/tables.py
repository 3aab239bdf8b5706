"""The lists of a project's tasks and of projects."""

from __future__ import annotations

from django.db.models import Q

from annotation.models import Project, Task
from flywheel.core.text import whole_number
from flywheel.ui.tables import Column, Facet, Search, Table, View, holds


def _task_like(text: str) -> Q:
    """A task's number or its example's whole external id; text that is no number: how the external id begins."""
    number = whole_number(text)
    if number is None:
        # A plain join, so that the planner may walk the tasks where nearly every external id begins like this.
        return Q(example__external_id__startswith=text)
    # Two look-ups of a few rows and not an OR across tables, for which no index could be used. A number is not taken as
    # a beginning, because the union would be read whole, and "1" begins very many numbers.
    same_id = Task.objects.filter(example__external_id=text).values("pk")
    return Q(pk__in=same_id.union(Task.objects.filter(pk=number).values("pk")))


TASKS: Table[Task] = Table(
    things="tasks",
    columns=(
        Column("task", "Task", main=True),
        Column("number", "Number", numeric=True, sort="pk"),
        Column("state", "State"),
        Column("label", "Label"),
        Column("source", "Source", shown=False),
        Column("language", "Language", shown=False),
        Column("answers", "Answers", numeric=True),
        Column("settled_by", "Settled by"),
        Column("settled", "Settled", sort="settled_at"),
        Column("made", "Made", shown=False),
    ),
    search=Search("Search", _task_like, "Task number or external id"),
    facets=(
        Facet("state", "State", "state", Task.State.choices),
        Facet("source", "Source", "example__source__name"),
        Facet("label", "Label", "example__label", typed=True),
    ),
    views=(
        View("In review", "state=in_review"),
        View("Flagged", "state=flagged"),
        View("Last settled", "state=settled&sort=-settled_at"),
    ),
)

PROJECTS: Table[Project] = Table(
    things="projects",
    columns=(
        Column("name", "Project", sort="name", main=True),
        Column("open", "To annotate", numeric=True),
        Column("in_review", "In review", numeric=True),
        Column("settled", "Settled", numeric=True),
        Column("week", "This week", numeric=True),
        Column("counted", "Counted"),
        Column("made", "Made", sort="pk", shown=False),
        Column("status", "Status"),
    ),
    search=Search("Name", holds("name"), "A part of the name"),
)
