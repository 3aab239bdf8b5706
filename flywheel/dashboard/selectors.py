"""Reading for the home pages: gauges and small bounded queries, nothing that grows with the number of tasks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from annotation.models import Annotation, Assignment, Project, Task
from annotation.stats import suggestions_answered
from flywheel.core.models import User
from flywheel.core.permissions import ADMINS
from flywheel.dashboard import wheel
from flywheel.runs import access as runs_access
from flywheel.runs.models import Budget, ModelVersion, TrainingRun
from flywheel.runs.selectors import budget_now as runs_budget_now
from flywheel.stats.models import Gauge
from provenance.access import purpose_and_region
from provenance.domain.gate import RULES
from provenance.services.stats import gate_scope


@dataclass(slots=True)
class Gauges:
    """Gauges of one scope: values now and a week ago by name, and when the newest was counted."""

    now: dict[str, float] = field(default_factory=dict)
    before: dict[str, float] = field(default_factory=dict)
    as_of: datetime | None = None

    def get(self, name: str) -> int | None:
        """The value as a whole number; None when it was never counted."""
        value = self.now.get(name)
        return None if value is None else round(value)

    def delta(self, name: str) -> str:
        """What changed since last week, in words; "" when last week was not counted."""
        return wheel.delta_text(self.now.get(name, 0), self.before.get(name))


def gauges_of(scopes: Iterable[str]) -> dict[str, Gauges]:
    """Gauges of several scopes in one query that reads two weeks at most."""
    wanted = list(scopes)
    found = {scope: Gauges() for scope in wanted}
    today = timezone.now().date()
    rows = Gauge.objects.filter(scope__in=wanted, day__gt=today - timedelta(days=15)).order_by("day")
    for row in rows:
        gauges = found[row.scope]
        gauges.now[row.name] = row.value
        if row.day <= today - timedelta(days=7):
            gauges.before[row.name] = row.value
        gauges.as_of = max(gauges.as_of, row.counted_at) if gauges.as_of else row.counted_at
    return found


@dataclass(frozen=True, slots=True)
class Wheel:
    """The wheel page's numbers."""

    stations: list[wheel.Station]
    bottleneck: wheel.Station | None
    acceptance: list[wheel.Acceptance]
    as_of: datetime | None


def wheel_now() -> Wheel:
    """The stations with their pace, the one to look at, and how suggestions fared per model generation."""
    models = list(ModelVersion.objects.select_related("project").order_by("-pk")[:12])
    gauges = gauges_of(["all", _origin("agent"), *(_origin(model.name) for model in models)])
    stations = wheel.stations_of(gauges["all"].now)
    acceptance = [_acceptance(gauges[_origin("agent")], name="the agent's own reply")] + [
        _acceptance(gauges[_origin(model.name)], name=model.name, model=model) for model in reversed(models)
    ]
    return Wheel(
        stations, wheel.bottleneck(stations), [a for a in acceptance if a.shown or a.champion], gauges["all"].as_of
    )


def _origin(name: str) -> str:
    """The scope in which annotation counts the use of one origin's suggestions."""
    return f"origin:{name}"[:80]


def _acceptance(gauges: Gauges, *, name: str, model: ModelVersion | None = None) -> wheel.Acceptance:
    accepted, edited, replaced = (gauges.get(use) or 0 for use in ("accepted", "edited", "replaced"))
    return wheel.Acceptance(
        name, accepted, edited, replaced,
        edit_distance=gauges.now.get("distance") if accepted + edited + replaced else None,
        generation=model.generation if model else None,
        champion=model is not None and model.status == ModelVersion.Status.CHAMPION,
        model_id=model.pk if model else None,
    )


def answers_to(user: Any, origin: str, use: str = "") -> QuerySet[Annotation]:
    """Answers to one origin's suggestions in the projects whose models this person sees; of one use, or of all."""
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
    any_open: bool = False
    any_in_review: bool = False

    def _get(self, name: str) -> int:
        return self.gauges.get(f"home.{name}") or 0

    @property
    def open(self) -> int:
        return wheel.count_now(self._get("open"), there_is_one=self.any_open)

    @property
    def in_review(self) -> int:
        return wheel.count_now(self._get("in_review"), there_is_one=self.any_in_review)

    @property
    def settled(self) -> int:
        return self._get("settled")

    @property
    def flags(self) -> int:
        return self._get("flags")

    @property
    def total(self) -> int:
        return self.open + self.in_review + self.settled

    @property
    def per_day(self) -> float:
        return self._get("settled_week") / wheel.WEEK

    @property
    def pace(self) -> str:
        return wheel.rate_text(self.per_day)

    @property
    def pace_delta(self) -> str:
        return wheel.delta_text(self._get("settled_week"), self._get("settled_last_week"))

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
        projects = projects.filter(memberships__user=user, memberships__role__in=roles).distinct()
    found = list(projects[:50])
    gauges = gauges_of(f"project:{project.pk}" for project in found)
    active = dict.fromkeys((project.pk for project in found), 0)
    held = Assignment.objects.filter(user=user, status=Assignment.Status.ACTIVE, project__in=found)
    for project_id in held.values_list("project_id", flat=True)[:100]:
        active[project_id] += 1
    return [
        ProjectNumbers(
            project, gauges[f"project:{project.pk}"], active[project.pk], any_open=project.any_open,
            any_in_review=project.any_in_review,
        )
        for project in found
    ]


def sole_project(user: Any) -> Project | None:
    """The project that the person sees, when it is the only one."""
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


def totals(projects: list[ProjectNumbers]) -> Totals:
    """The sums over the projects that a person sees."""

    def total(name: str) -> int:
        return sum(item.gauges.get(f"home.{name}") or 0 for item in projects)

    week = total("settled_week")
    return Totals(
        open=total("open"), in_review=total("in_review"), settled=total("settled"),
        flags=total("flags"), week=week,
        week_delta=wheel.delta_text(week, total("settled_last_week")),
    )


def returned_to(user: User) -> int:
    """How many answers came back to the person from review, counted up to 100."""
    returned = Assignment.objects.filter(user=user, status=Assignment.Status.RETURNED)
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
    gauges = gauges_of([scope])[scope]
    counted = [(rule, words, gauges.get(f"rule.{rule}") or 0) for rule, words in RULES.items()]
    return Refusals(purpose, region, gauges, sorted((row for row in counted if row[2]), key=lambda row: -row[2]))


def budget_now() -> Budget | None:
    """This month's budget, if one is set."""
    return runs_budget_now()


def runs_recent(count: int = 5) -> list[TrainingRun]:
    """The newest runs."""
    return list(TrainingRun.objects.select_related("snapshot", "recipe").order_by("-pk")[:count])
