"""Counting annotation: gauges written by jobs, and the tables pages make of them.

Scopes: `project:<id>` for a project, `person:<project>:<user>` for a person in it, `origin:<name>` for a
suggestion's origin over all projects, `origins:<project>` for all origins within one (gauges `<use>:<name>`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Avg, Count, Q, QuerySet
from django.utils import timezone

from annotation.models import Annotation, Flag, Membership, Project, Task
from flywheel.stats.gauges import gauges_get, gauges_set
from flywheel.stats.models import Gauge

USES = ("accepted", "edited", "replaced")


def gauges_refresh(project: Project) -> None:
    """Count a project's tasks by state, its answers, people and the use of its suggestions."""
    _tasks(project)
    _people(project)
    counted: dict[str, float] = {}
    for name, numbers in _origins(Annotation.objects.filter(project=project)).items():
        counted |= {f"{key}:{name}"[:80]: value for key, value in numbers.items()}
    gauges_set(counted, scope=f"origins:{project.pk}")


def all_refresh() -> None:
    """Count what pages show, for every project."""
    for project in Project.objects.order_by("pk"):
        gauges_refresh(project)
    origins_refresh()


def origins_refresh() -> None:
    """Count the use of suggestions over all projects."""
    for name, numbers in _origins(Annotation.objects.all()).items():
        gauges_set(numbers, scope=f"origin:{name}"[:80])


def _tasks(project: Project) -> None:
    states = dict(
        Task.objects.filter(project=project).order_by().values_list("state").annotate(n=Count("pk"))
    )
    values = {f"tasks.{state}": float(states.get(state, 0)) for state in Task.State.values}
    values["tasks.total"] = float(sum(states.values()))
    values["flags.open"] = float(Flag.objects.filter(project=project, state=Flag.State.OPEN).count())
    answers = Annotation.objects.filter(project=project, parent=None).exclude(state=Annotation.State.UNDONE)
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    counted = answers.aggregate(
        all=Count("pk"), today=Count("pk", filter=Q(created_at__gte=midnight)),
        week=Count("pk", filter=Q(created_at__gte=midnight - timedelta(days=6))), seconds=Avg("lead_time_seconds"),
    )
    values |= {
        "answers.total": float(counted["all"]), "answers.today": float(counted["today"]),
        "answers.week": float(counted["week"]), "answers.seconds": float(counted["seconds"] or 0),
    }
    gauges_set(values, scope=f"project:{project.pk}")


def _people(project: Project) -> None:
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    rows = (
        Annotation.objects.filter(project=project, parent=None).exclude(state=Annotation.State.UNDONE)
        .order_by().values("author_id").annotate(
            answers=Count("pk"), today=Count("pk", filter=Q(created_at__gte=midnight)),
            accepted=Count("pk", filter=Q(state=Annotation.State.ACCEPTED)),
            rejected=Count("pk", filter=Q(state=Annotation.State.REJECTED)),
            fixed=Count("pk", filter=Q(state=Annotation.State.FIXED)), seconds=Avg("lead_time_seconds"),
        )
    )
    for row in rows:
        numbers = {key: float(value or 0) for key, value in dict(row).items()}  # type: ignore[arg-type]
        gauges_set(numbers, scope=f"person:{project.pk}:{int(numbers.pop('author_id'))}")


def suggestions_answered(answers: QuerySet[Annotation]) -> QuerySet[Annotation]:
    """Of these answers those that count towards the use of suggestions."""
    return (
        answers.exclude(state=Annotation.State.UNDONE).filter(parent=None)
        .exclude(suggestion_use=Annotation.SuggestionUse.NONE)
    )


def _origins(answers: QuerySet[Annotation]) -> dict[str, dict[str, float]]:
    rows = suggestions_answered(answers).order_by().values("suggestion_origin").annotate(
        total=Count("pk"), distance=Avg("edit_distance"),
        **{use: Count("pk", filter=Q(suggestion_use=use)) for use in USES},
    )
    return {
        str(row["suggestion_origin"]): {
            key: float(value or 0) for key, value in dict(row).items() if key != "suggestion_origin"  # type: ignore[arg-type]
        }
        for row in rows
    }


@dataclass(frozen=True, slots=True)
class OriginUse:
    """How the suggestions of one origin (the agent, or a model by name) were used."""

    name: str
    total: int
    accepted: int
    edited: int
    replaced: int
    distance: float

    @property
    def acceptance(self) -> float | None:
        """Share accepted as they were."""
        return self.accepted / self.total if self.total else None


def origins_use(project: Project) -> list[OriginUse]:
    """Use of suggestions by origin within a project, as last counted, most shown first: one bounded read."""
    rows: dict[str, dict[str, float]] = {}
    for name, gauge in gauges_get(scope=f"origins:{project.pk}").items():
        key, _, origin = name.partition(":")
        rows.setdefault(origin, {})[key] = gauge.value
    found = [
        OriginUse(
            name=name, total=int(row.get("total", 0)), accepted=int(row.get("accepted", 0)),
            edited=int(row.get("edited", 0)), replaced=int(row.get("replaced", 0)), distance=row.get("distance", 0.0),
        )
        for name, row in rows.items()
    ]
    return sorted(found, key=lambda origin: -origin.total)


@dataclass(slots=True)
class Numbers:
    """A project's numbers as last counted, and the same a week before (None when there was no count)."""

    now: dict[str, int]
    then: dict[str, int]
    counted_at: datetime | None

    def delta(self, name: str) -> int | None:
        """Change against a week ago."""
        if name not in self.now or name not in self.then:
            return None
        return self.now[name] - self.then[name]


def project_numbers(project: Project) -> Numbers:
    """A project's numbers from its gauges."""
    return projects_numbers([project])[project.pk]


def projects_numbers(projects: list[Project]) -> dict[int, Numbers]:
    """The numbers of these projects from their gauges: one read of at most a fortnight, however many projects."""
    today = timezone.now().date()
    ids = {f"project:{project.pk}": project.pk for project in projects}
    found = {project.pk: Numbers(now={}, then={}, counted_at=None) for project in projects}
    for gauge in Gauge.objects.filter(scope__in=list(ids), day__gt=today - timedelta(days=15)).order_by("day"):
        numbers = found[ids[gauge.scope]]
        stale = gauge.name == "answers.today" and gauge.day != today
        numbers.now[_key(gauge.name)] = 0 if stale else round(gauge.value)
        if gauge.day <= today - timedelta(days=7):
            numbers.then[_key(gauge.name)] = round(gauge.value)
        numbers.counted_at = gauge.counted_at
    return found


def _key(name: str) -> str:
    return name.replace(".", "_")


@dataclass(frozen=True, slots=True)
class Person:
    """A member with roles and numbers as last counted."""

    membership: Membership
    roles: list[str]
    numbers: dict[str, int]


def people_of(project: Project, limit: int = 200) -> list[Person]:
    """The project's people, most answers first."""
    members = (
        Membership.objects.filter(project=project).select_related("user").order_by("user__username", "role")[:limit]
    )
    grouped: dict[int, list[Membership]] = {}
    for member in members:
        grouped.setdefault(member.user_id, []).append(member)
    scopes = {f"person:{project.pk}:{user_id}": user_id for user_id in grouped}
    numbers: dict[int, dict[str, int]] = {}
    since = timezone.now().date() - timedelta(days=8)
    for gauge in Gauge.objects.filter(scope__in=list(scopes), day__gt=since).order_by("day"):
        row = numbers.setdefault(scopes[gauge.scope], {})
        fresh = gauge.day == timezone.now().date() or gauge.name != "today"
        row[gauge.name] = round(gauge.value) if fresh else 0
    people = [
        Person(membership=rows[0], roles=[row.get_role_display() for row in rows], numbers=numbers.get(user_id, {}))
        for user_id, rows in grouped.items()
    ]
    return sorted(people, key=lambda person: -person.numbers.get("answers", 0))
