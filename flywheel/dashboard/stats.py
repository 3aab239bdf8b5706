"""Counting, done in a job and never in a request: reads every app's rows and changes none.

Each function returns values for core's gauges. A station's passage is dated by the first time an example got there,
so that freezing or training twice counts once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Exists, Min, Model, OuterRef, Q, QuerySet, Subquery

from annotation.models import Project, Review, Suggestion, Task
from annotation.stats import first_answers, project_scope
from flywheel.capture.models import Capture, Example
from flywheel.dashboard.wheel import gauge_name
from flywheel.datasets.models import Snapshot, SnapshotRow
from flywheel.runs.models import ModelVersion, TrainingRun
from flywheel.stats.registry import Counted, counter
from flywheel.work.jobs import jobs_dead
from provenance.models import GateVerdict, ProvenanceRecord, Withdrawal

Values = dict[str, float]


@counter("dashboard.wheel")
def wheel_counts(now: datetime) -> Counted:
    """All values of the wheel page, by gauge name."""
    by_model = Suggestion.objects.filter(origin=Suggestion.Origin.MODEL, withdrawn_at=None)
    # Grouped by example, because a passage is dated by the first suggestion and later ones must not count again.
    suggested = by_model.order_by().values("example").annotate(first=Min("created_at"))
    # All stations are counted before any backlog, because some backlogs are the difference of two stations.
    passed = {
        "captured": _passages(Example.objects.filter(status=Example.Status.ACTIVE), "pk", "created_at", now),
        "annotated": _passages(first_answers(), "task__example", "created_at", now),
        "settled": _passages(_settled(), "example", "settled_at", now),
        "cleared": _passages(_settled().filter(_judged(cleared=True)), "example", "settled_at", now),
        "snapshot": _snapshots(Min("frozen_at"), now),
        "trained": _snapshots(Min("runs__finished_at", filter=Q(runs__status=TrainingRun.Status.DONE)), now),
        "promoted": _snapshots(Min("runs__model__promoted_at"), now),
        "suggested": _passages(suggested, "example", "first", now),
    }
    values: Values = {}
    for station, counts in passed.items():
        waiting = _WAITING[station](passed)
        values |= {gauge_name(station, measure): n for measure, n in (counts | {"waiting": waiting}).items()}
    return {"all": values | _details()}


def _passages(rows: QuerySet[Any], thing: str, at: str, now: datetime) -> dict[str, int]:
    week, fortnight = now - timedelta(days=7), now - timedelta(days=14)

    def count(condition: Q) -> Count:
        return Count(thing, distinct=True, filter=condition)

    return rows.aggregate(
        # One pass over the rows for all four numbers; four queries would read the table four times.
        total=count(Q(**{f"{at}__isnull": False})),
        day=count(Q(**{f"{at}__gt": now - timedelta(days=1)})),
        week=count(Q(**{f"{at}__gt": week})),
        last_week=count(Q(**{f"{at}__gt": fortnight, f"{at}__lte": week})),
    )


def _settled() -> QuerySet[Task]:
    return Task.objects.filter(state=Task.State.SETTLED)


def _judged(*, cleared: bool | None = None) -> Exists:
    """Judged for fine-tuning: the wheel is about replies, and what is cleared only to measure with teaches none."""
    # EXISTS and not a join, because a record has a verdict per region and a join would count it once for each.
    verdicts = GateVerdict.objects.filter(record=OuterRef("example__provenance"), purpose="sft")
    return Exists(verdicts if cleared is None else verdicts.filter(cleared=cleared))


def _snapshots(first: Min, now: datetime) -> dict[str, int]:
    """Passages of examples through snapshots that got somewhere for the first time on a date.

    An example passed after a date when no snapshot that got there by then holds it. Rows are so read once, whatever
    the number of runs; a subquery for each task takes fifty times as long with 100,000 of them.
    """
    # Snapshots are few, so their dates fit in memory; their rows are many and are read once below.
    dates = {pk: at for pk, at in Snapshot.objects.annotate(at=first).values_list("pk", "at") if at is not None}
    ends = {"total": now, **{name: now - timedelta(days=days) for name, days in (("day", 1), ("week", 7), ("old", 14))}}
    # A tainted row teaches no model any more, so it has not passed the station.
    by = SnapshotRow.objects.filter(tainted_at=None, snapshot__in=list(dates)).aggregate(**{
        name: Count("example", distinct=True, filter=Q(snapshot__in=[pk for pk, at in dates.items() if at <= end]))
        for name, end in ends.items()
    })
    return {
        # Each end holds what had passed by then, so the difference of two is what passed between them.
        "total": by["total"], "day": by["total"] - by["day"], "week": by["total"] - by["week"],
        "last_week": by["week"] - by["old"],
    }


def _open_without_suggestion() -> int:
    champions = ModelVersion.objects.filter(status=ModelVersion.Status.CHAMPION, project=OuterRef("project"))
    # Compared by the champion's name, because a suggestion of an earlier champion must be replaced and so still waits.
    of_champion = Suggestion.objects.filter(
        example=OuterRef("example"), origin_name=OuterRef("champion"), withdrawn_at=None
    )
    open_tasks = Task.objects.filter(state=Task.State.OPEN, submitted_count=0)
    return (
        open_tasks.annotate(champion=Subquery(champions.values("name")[:1]))
        .filter(champion__isnull=False)
        .filter(~Exists(of_champion))
        .count()
    )


def _behind(later: str, earlier: str) -> Any:
    # Never negative: a verdict may turn to refused later, while the snapshot that was frozen before keeps the row.
    return lambda passed: max(0, passed[earlier]["total"] - passed[later]["total"])


_WAITING: dict[str, Any] = {
    "captured": lambda passed: Capture.objects.filter(status=Capture.Status.RECEIVED).count(),
    "annotated": lambda passed: Task.objects.filter(state=Task.State.OPEN).count(),
    "settled": lambda passed: Task.objects.filter(state=Task.State.IN_REVIEW).count(),
    "cleared": lambda passed: _settled().filter(~_judged()).count(),
    "snapshot": _behind("snapshot", "cleared"),
    "trained": _behind("trained", "snapshot"),
    "promoted": _behind("promoted", "trained"),
    "suggested": lambda passed: _open_without_suggestion(),
}


def _details() -> Values:
    no_task = ~Exists(Task.objects.filter(example=OuterRef("pk")))
    waiting = (TrainingRun.Status.REQUESTED, TrainingRun.Status.QUEUED)
    return {
        "wheel.refused": _settled().filter(_judged()).filter(~_judged(cleared=True)).count(),
        # A duplicate gets no task on purpose, so only the original of it counts as forgotten.
        "wheel.untasked": Example.objects.filter(
            no_task, status=Example.Status.ACTIVE, duplicate_of=None, source__projects=None
        ).count(),
        "wheel.runs_waiting": TrainingRun.objects.filter(status__in=waiting).count(),
        "wheel.candidates": ModelVersion.objects.filter(status=ModelVersion.Status.CANDIDATE).count(),
    }


@counter("dashboard.decisions")
def decisions_count(now: datetime) -> Counted:
    """What the homes of steward and admin show besides the gate's own gauges: decisions that wait, and failures."""
    present = ProvenanceRecord.PersonalData.PRESENT
    return {"all": {
        # Erased records need no decision any more: what a steward would decide about is gone.
        "home.decide.quarantined": _count(ProvenanceRecord, quarantined_at__isnull=False, erased_at=None),
        "home.decide.personal_data": _count(ProvenanceRecord, personal_data=present, erased_at=None),
        "home.decide.withdrawals": _count(Withdrawal, completed_at=None),
        "home.failed.captures": _count(Capture, status=Capture.Status.DEAD),
        "home.failed.messages": jobs_dead().count(),
    }}


def _count(model: type[Model], **where: Any) -> int:
    return model._default_manager.filter(**where).count()


@counter("dashboard.reviews")
def reviews_count(now: datetime) -> Counted:
    """What reviewers decided in each project in the last 7 days."""
    decision = Review.Decision
    # Every project starts at 0, because a project without a review this week must not keep last week's numbers.
    found = {
        project_scope(pk): {f"home.review.{name}": 0.0 for name in ("accept", "fix", "reject")}
        for pk in Project.objects.values_list("pk", flat=True)
    }
    recent = Review.objects.filter(created_at__gt=now - timedelta(days=7)).order_by()
    rows = recent.values("task__project").annotate(
        accept=Count("pk", filter=Q(decision=decision.ACCEPT)), fix=Count("pk", filter=Q(decision=decision.FIX)),
        reject=Count("pk", filter=Q(decision=decision.REJECT)),
    )
    for row in map(dict[str, Any], rows):
        found[project_scope(row["task__project"])] = {
            f"home.review.{name}": row[name] for name in ("accept", "fix", "reject")
        }
    return found
