"""Counting annotation: projects, people in them, and what became of suggestions.

Scopes: `project:<id>` for a project, `person:<project>:<user>` for a person in it, `origin:<name>` for a suggestion's
origin over all projects, `origins:<project>` for all origins within one (gauges `<use>:<name>`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, F, Q, QuerySet

from annotation.domain.suggestions import Acceptance
from annotation.models import Annotation, Flag, Membership, Project, Task
from flywheel.stats.registry import Counted, counter
from flywheel.stats.series import Gauges, gauges_of, gauges_read

USES = ("accepted", "edited", "replaced")


def project_scope(project_id: int) -> str:
    """The scope of a project's own gauges."""
    return f"project:{project_id}"


def person_scope(project_id: int, user_id: int) -> str:
    """The scope of a person's gauges in a project."""
    return f"person:{project_id}:{user_id}"


def origin_scope(name: str) -> str:
    """The scope of an origin of suggestions: "agent", or a model by name."""
    # Cut, because the column of scopes holds 80 characters and a model's name may have 200.
    return f"origin:{name}"[:80]


def first_answers() -> QuerySet[Annotation]:
    """Annotators' own work: a reviewer's fix has a parent, and an answer that was undone counts for nothing."""
    return Annotation.objects.filter(parent=None).exclude(state=Annotation.State.UNDONE)


@counter("annotation.projects", every=30)
def projects_count(now: datetime) -> Counted:
    """Tasks by state, what was settled, answers and open flags of every project: four queries for all of them."""
    # UTC, as everywhere in the product: people of one project work in several time zones.
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    week, fortnight = now - timedelta(days=7), now - timedelta(days=14)
    # Every gauge is written each time, because one that is left out would keep its last value after the last task left
    # that state.
    zero = {f"tasks.{state}": 0.0 for state in Task.State.values} | dict.fromkeys((
        "tasks.total", "tasks.settled_week", "tasks.settled_last_week", "flags.open", "answers.total", "answers.today",
        "answers.week", "answers.seconds",
    ), 0.0)
    found = {project_scope(pk): dict(zero) for pk in Project.objects.values_list("pk", flat=True)}
    for pk, state, count in Task.objects.order_by().values_list("project", "state").annotate(n=Count("pk")):
        found[project_scope(pk)][f"tasks.{state}"] = count
        found[project_scope(pk)]["tasks.total"] += count
    settled = Task.objects.filter(state=Task.State.SETTLED, settled_at__gt=fortnight).order_by()
    for pk, this, last in settled.values_list("project").annotate(
        this=Count("pk", filter=Q(settled_at__gt=week)), last=Count("pk", filter=Q(settled_at__lte=week))
    ):
        found[project_scope(pk)] |= {"tasks.settled_week": this, "tasks.settled_last_week": last}
    flags = Flag.objects.filter(state=Flag.State.OPEN).order_by().values_list("project")
    for pk, count in flags.annotate(n=Count("pk")):
        found[project_scope(pk)]["flags.open"] = count
    for row in first_answers().order_by().values("project").annotate(
        all=Count("pk"), today=Count("pk", filter=Q(created_at__gte=midnight)),
        week=Count("pk", filter=Q(created_at__gte=midnight - timedelta(days=6))), seconds=Avg("lead_time_seconds"),
    ):
        found[project_scope(row["project"])] |= {
            "answers.total": row["all"], "answers.today": row["today"], "answers.week": row["week"],
            "answers.seconds": row["seconds"] or 0,
        }
    return found


@counter("annotation.people", every=30)
def people_count(now: datetime) -> Counted:
    """Answers of each person in each project: in all, today, and of the last 24 hours and weeks."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    week, fortnight = now - timedelta(days=7), now - timedelta(days=14)
    state, this_week = Annotation.State, Q(created_at__gt=week)
    rows = first_answers().order_by().values("project_id", "author_id").annotate(
        answers=Count("pk"), today=Count("pk", filter=Q(created_at__gte=midnight)),
        accepted=Count("pk", filter=Q(state=state.ACCEPTED)), rejected=Count("pk", filter=Q(state=state.REJECTED)),
        fixed=Count("pk", filter=Q(state=state.FIXED)), seconds=Avg("lead_time_seconds"),
        day=Count("pk", filter=Q(created_at__gt=now - timedelta(days=1))),
        week=Count("pk", filter=this_week),
        last_week=Count("pk", filter=Q(created_at__gt=fortnight, created_at__lte=week)),
        week_accepted=Count("pk", filter=this_week & Q(state=state.ACCEPTED)),
        week_fixed=Count("pk", filter=this_week & Q(state=state.FIXED)),
        week_rejected=Count("pk", filter=this_week & Q(state=state.REJECTED)),
        week_timed=Count("lead_time_seconds", filter=this_week),
        week_seconds=Avg("lead_time_seconds", filter=this_week),
    )
    found: list[dict[str, Any]] = [dict(row) for row in rows]
    return {
        person_scope(row.pop("project_id"), row.pop("author_id")): {name: value or 0 for name, value in row.items()}
        for row in found
    }


@counter("annotation.origins", every=30)
def origins_count(now: datetime) -> Counted:
    """What became of the suggestions of each origin, over all projects and within each."""
    uses = {use: Count("pk", filter=Q(suggestion_use=use)) for use in USES}
    rows = suggestions_answered(Annotation.objects.all()).order_by().values("project_id", origin=F("suggestion_origin"))
    found: dict[str, dict[str, float]] = {}
    summed: dict[str, float] = {}
    counts: dict[str, Any] = {
        "total": Count("pk"), "distance": Avg("edit_distance"), "measured": Count("edit_distance"),
    }
    for row in map(dict[str, Any], rows.annotate(**counts, **uses)):
        name = str(row["origin"])
        whole = found.setdefault(origin_scope(name), dict.fromkeys(("total", *USES, "distance", "measured"), 0.0))
        own = found.setdefault(f"origins:{row['project_id']}", {})
        for key in ("total", *USES, "measured"):
            whole[key] += row[key]
            own[f"{key}:{name}"[:80]] = row[key]
        own[f"distance:{name}"[:80]] = row["distance"] or 0
        # The mean over all projects is the mean of theirs, each weighted by what it was measured on.
        summed[name] = summed.get(name, 0.0) + (row["distance"] or 0) * row["measured"]
        whole["distance"] = summed[name] / whole["measured"] if whole["measured"] else 0.0
    return found


def suggestions_answered(answers: QuerySet[Annotation]) -> QuerySet[Annotation]:
    """Of these answers those that count towards the use of suggestions."""
    return (
        answers.exclude(state=Annotation.State.UNDONE).filter(parent=None)
        .exclude(suggestion_use=Annotation.SuggestionUse.NONE)
    )


def acceptances_of(names: Iterable[str]) -> dict[str, Acceptance]:
    """What became of the suggestions of these origins over all projects, by the origin's name: one bounded read."""
    wanted = list(names)
    found = gauges_read(origin_scope(name) for name in wanted)
    return {name: acceptance_of(name, found[origin_scope(name)]) for name in wanted}


def acceptance_of(name: str, gauges: Gauges) -> Acceptance:
    """What became of an origin's suggestions, from the gauges of its scope."""
    return _acceptance(name, {key: one.now or 0 for key, one in gauges.series.items()})


def origins_of(project: Project) -> list[Acceptance]:
    """The same within a project, most shown first."""
    rows: dict[str, dict[str, float]] = {}
    for gauge, one in gauges_of(f"origins:{project.pk}").series.items():
        key, _, origin = gauge.partition(":")
        rows.setdefault(origin, {})[key] = one.now or 0
    return sorted((_acceptance(name, row) for name, row in rows.items()), key=lambda origin: -origin.shown)


def _acceptance(name: str, values: dict[str, float]) -> Acceptance:
    accepted, edited, replaced = (int(values.get(use, 0)) for use in USES)
    distance = values.get("distance") if accepted + edited + replaced else None
    return Acceptance(name=name, accepted=accepted, edited=edited, replaced=replaced, distance=distance)


def project_numbers(project: Project) -> Gauges:
    """A project's gauges."""
    return gauges_of(project_scope(project.pk))


def projects_numbers(projects: Iterable[Project]) -> dict[int, Gauges]:
    """The gauges of these projects, by the project's key: one read, however many projects."""
    scopes = {project_scope(project.pk): project.pk for project in projects}
    return {scopes[scope]: gauges for scope, gauges in gauges_read(scopes).items()}


@dataclass(frozen=True, slots=True)
class Person:
    """A member with roles and numbers as last counted."""

    membership: Membership
    roles: list[str]
    gauges: Gauges

    @property
    def numbers(self) -> dict[str, int]:
        """The newest counts by name."""
        return self.gauges.now


def people_of(project: Project, limit: int = 200) -> list[Person]:
    """The project's people, most answers first."""
    members = (
        Membership.objects.filter(project=project).select_related("user").order_by("user__username", "role")[:limit]
    )
    # A person with two roles has two memberships and is shown once.
    grouped: dict[int, list[Membership]] = {}
    for member in members:
        grouped.setdefault(member.user_id, []).append(member)
    gauges = gauges_read(person_scope(project.pk, user_id) for user_id in grouped)
    people = [
        Person(
            membership=rows[0], roles=[row.get_role_display() for row in rows],
            gauges=gauges[person_scope(project.pk, user_id)],
        )
        for user_id, rows in grouped.items()
    ]
    return sorted(people, key=lambda person: -person.numbers.get("answers", 0))
