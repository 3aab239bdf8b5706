"""Reading for the home pages: gauges and small bounded queries, nothing that grows with the number of tasks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from annotation.models import AGENT, Annotation, Assignment, Membership, Project, Task
from annotation.stats import acceptance_of, origin_scope, person_scope, projects_numbers, suggestions_answered
from flywheel.core.models import User
from flywheel.core.permissions import ADMINS
from flywheel.dashboard import wheel
from flywheel.runs import access as runs_access
from flywheel.runs.models import Budget, ModelVersion, TrainingRun
from flywheel.runs.selectors import budget_now as runs_budget_now
from flywheel.stats.series import Gauges, gauges_of, gauges_read
from provenance.access import purpose_and_region
from provenance.domain.gate import RULES
from provenance.stats import gate_scope


@dataclass(frozen=True, slots=True)
class Wheel:
    """The wheel page's numbers."""

    stations: list[wheel.Station]
    bottleneck: wheel.Station | None
    generations: list[wheel.Generation]
    as_of: datetime | None


def wheel_now() -> Wheel:
    """The stations with their pace, the one to look at, and how suggestions fared per model generation."""
    # Twelve, because each model adds a scope to what one request reads.
    models = list(ModelVersion.objects.select_related("project").order_by("-pk")[:12])
    scopes = {name: origin_scope(name) for name in (AGENT, *(model.name for model in models))}
    # All scopes in one call, because each call is a query.
    read = gauges_read(["all", *scopes.values()])
    gauges = read["all"]
    stations = [
        replace(station, days=gauges.days(wheel.gauge_name(station.kind.key, "total")))
        for station in wheel.stations_of({name: one.now or 0 for name, one in gauges.series.items()})
    ]
    found = {name: acceptance_of(name, read[scope]) for name, scope in scopes.items()}
    # The agent comes first, because its replies were there before the first model.
    generations = [wheel.Generation(replace(found[AGENT], name="the agent's own reply"))] + [
        wheel.Generation(
            found[model.name], generation=model.generation, model_id=model.pk,
            champion=model.status == ModelVersion.Status.CHAMPION,
        )
        for model in reversed(models)
    ]
    # The champion is listed even before it has an answer, because it is what annotators see now.
    shown = [one for one in generations if one.acceptance.shown or one.champion]
    return Wheel(stations, wheel.bottleneck(stations), shown, gauges.as_of)


def answers_to(user: Any, origin: str, use: str = "") -> QuerySet[Annotation]:
    """Answers to one origin's suggestions in the projects whose models this person sees; of one use, or of all."""
    # The same condition as in the counters, so the list has as many rows as the count that links to it.
    answers = suggestions_answered(Annotation.objects.filter(suggestion_origin=origin))
    answers = answers.filter(suggestion_use=use) if use else answers
    return answers.filter(project__in=runs_access.projects_seen(user)).select_related(
        "author", "project", "task__example__source"
    )


def model_open(user: Any, name: str) -> ModelVersion | None:
    """The model of this name, if there is one that the person may open."""
    return runs_access.models_of(user).filter(name=name).first()


@dataclass(frozen=True, slots=True)
class ProjectNumbers:
    """A project as its people's homes show it."""

    project: Project
    gauges: Gauges
    active: int = 0
    # Gauges may be a minute old. These two flags are read on each request, so a person is not sent to an empty queue.
    any_open: bool = False
    any_in_review: bool = False

    def _get(self, name: str) -> int:
        return self.gauges.get(name) or 0

    @property
    def open(self) -> int:
        return wheel.count_now(self._get("tasks.open"), there_is_one=self.any_open)

    @property
    def in_review(self) -> int:
        return wheel.count_now(self._get("tasks.in_review"), there_is_one=self.any_in_review)

    @property
    def settled(self) -> int:
        return self._get("tasks.settled")

    @property
    def flags(self) -> int:
        return self._get("flags.open")

    @property
    def total(self) -> int:
        return self.open + self.in_review + self.settled

    @property
    def per_day(self) -> float:
        return self._get("tasks.settled_week") / wheel.WEEK

    @property
    def pace(self) -> str:
        return wheel.rate_text(self.per_day)

    @property
    def pace_delta(self) -> str:
        return wheel.delta_text(self._get("tasks.settled_week"), self._get("tasks.settled_last_week"))

    @property
    def forecast(self) -> str:
        """How long the backlog takes at last week's pace, in words."""
        left = self.open + self.in_review
        if not left:
            return "nothing left"
        return wheel.days_text(left / self.per_day) if self.per_day else "nothing settled last week"

    @property
    def reviewed(self) -> int:
        return sum(self._get(f"review.{name}") for name in ("accept", "fix", "reject"))

    @property
    def accepted_share(self) -> float | None:
        """Of last week's reviews, the share that was accepted without a change."""
        return self._get("review.accept") / self.reviewed if self.reviewed else None


def projects_of(user: User, *roles: str) -> list[ProjectNumbers]:
    """The open projects in which the person has one of these roles; an admin sees all. At most 50."""
    states = Task.objects.filter(project=OuterRef("pk"))
    projects = Project.objects.filter(archived_at=None).order_by("name").annotate(
        any_open=Exists(states.filter(state=Task.State.OPEN)),
        any_in_review=Exists(states.filter(state=Task.State.IN_REVIEW)),
    )
    if not ADMINS(user):
        # Distinct, because a person with two of the roles in a project would get it twice from the join.
        projects = projects.filter(memberships__user=user, memberships__role__in=roles).distinct()
    found = list(projects[:50])
    gauges = projects_numbers(found)
    active = dict.fromkeys((project.pk for project in found), 0)
    held = Assignment.objects.filter(user=user, status=Assignment.Status.ACTIVE, project__in=found)
    # The slice bounds what is read, whatever number of leases a person holds.
    for project_id in held.values_list("project_id", flat=True)[:100]:
        active[project_id] += 1
    return [
        ProjectNumbers(
            project, gauges[project.pk], active[project.pk], any_open=project.any_open,
            any_in_review=project.any_in_review,
        )
        for project in found
    ]


def sole_project(user: Any) -> Project | None:
    """The project that the person sees, when it is the only one."""
    # Two rows are enough to know whether there is exactly one.
    found = list(runs_access.projects_seen(user).filter(archived_at=None)[:2])
    return found[0] if len(found) == 1 else None


def models_open_to(user: Any, pks: list[int]) -> set[int]:
    """Which of these models the person may open."""
    return set(runs_access.models_of(user).filter(pk__in=pks).values_list("pk", flat=True))


@dataclass(frozen=True, slots=True)
class Totals:
    """Several projects' numbers together."""

    open: int
    in_review: int
    settled: int
    flags: int
    week: int
    week_delta: str
    spark: dict[str, list[float | None]]


def totals(projects: list[ProjectNumbers]) -> Totals:
    """The sums over the projects that a person sees."""

    def total(name: str) -> int:
        return sum(item.gauges.get(name) or 0 for item in projects)

    week = total("tasks.settled_week")
    return Totals(
        open=total("tasks.open"), in_review=total("tasks.in_review"), settled=total("tasks.settled"),
        flags=total("flags.open"), week=week,
        week_delta=wheel.delta_text(week, total("tasks.settled_last_week")),
        spark={
            name.replace(".", "_"): days_sum(item.gauges.days(name) for item in projects)
            for name in ("tasks.open", "tasks.in_review", "tasks.settled", "flags.open", "tasks.settled_week")
        },
    )


def days_sum(rows: Iterable[list[float | None]]) -> list[float | None]:
    """Several gauges' last 14 days together; None on days when none of them was counted."""
    return [
        # A day that no counter ran is a gap in the line; a sum of 0 would draw it as a day without work.
        sum(value for value in day if value is not None) if any(value is not None for value in day) else None
        for day in zip(*rows, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Mine:
    """A person's own answers over all their projects, as last counted."""

    day: int
    week: int
    last_week: int | None
    accepted: int
    decided: int
    seconds: float | None
    as_of: datetime | None
    spark: dict[str, list[float | None]]


def answers_of(user: User) -> Mine:
    """The sums over the projects that the person is in."""
    # A set, because a person may have several roles in one project and its answers must be counted once.
    projects = set(Membership.objects.filter(user=user).values_list("project_id", flat=True)[:200])
    found = list(gauges_read(person_scope(project, user.pk) for project in projects).values())

    def total(name: str) -> int:
        return sum(one.get(name) or 0 for one in found)

    timed = total("week_timed")
    return Mine(
        # None without any gauge, because "= as last week" would compare two weeks that were never counted.
        day=total("day"), week=total("week"), last_week=total("last_week") if any(g.series for g in found) else None,
        accepted=total("week_accepted"), decided=sum(total(f"week_{n}") for n in ("accepted", "fixed", "rejected")),
        # The mean over all projects, each weighted by how many answers have a time.
        seconds=sum((one.value("week_seconds") or 0) * (one.value("week_timed") or 0) for one in found) / timed
        if timed else None,
        as_of=max((one.as_of for one in found if one.as_of), default=None),
        spark={name: days_sum(one.days(name) for one in found) for name in ("day", "week")},
    )


def returned_to(user: User) -> int:
    """How many answers came back to the person from review, counted up to 100."""
    returned = Assignment.objects.filter(user=user, status=Assignment.Status.RETURNED)
    # The slice is inside the count, so the database stops at 100 rows.
    return returned[:100].count()


@dataclass(frozen=True, slots=True)
class Refusals:
    """What the gate says for one purpose and region, as provenance counted it: rules with their words and counts."""

    purpose: str
    region: str
    gauges: Gauges
    rules: list[tuple[str, str, int]]


def refusals() -> Refusals:
    """Why records are refused for the usual purpose and region, the largest count first."""
    purpose, region = purpose_and_region({})
    scope = gate_scope(purpose, region)
    gauges = gauges_of(scope)
    counted = [(rule, words, gauges.get(f"rule.{rule}") or 0) for rule, words in RULES.items()]
    return Refusals(purpose, region, gauges, sorted((row for row in counted if row[2]), key=lambda row: -row[2]))


def budget_now() -> Budget | None:
    """This month's budget, if one is set."""
    return runs_budget_now()


def runs_recent(count: int = 5) -> list[TrainingRun]:
    """The newest runs."""
    return list(TrainingRun.objects.select_related("snapshot", "recipe").order_by("-pk")[:count])
