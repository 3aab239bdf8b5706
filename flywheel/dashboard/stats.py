"""Counting, done in a job and never in a request: reads every app's rows and changes none.

Each function returns values for core's gauges. A station's passage is dated by the first time an example got there,
so that freezing or training twice counts once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Avg, Count, Exists, Min, Model, OuterRef, Q, QuerySet, Subquery

from annotation.models import Annotation, Flag, Project, Review, Task
from flywheel.capture.models import Capture, Example, Suggestion
from flywheel.dashboard.wheel import gauge_name
from flywheel.datasets.models import Snapshot, SnapshotRow
from flywheel.runs.models import ModelVersion, TrainingRun
from flywheel.work.jobs import jobs_dead
from provenance.models import GateVerdict, ProvenanceRecord, Withdrawal

Values = dict[str, float]


def wheel_counts(now: datetime) -> Values:
    """All values of the wheel page, by gauge name."""
    passed = {
        "captured": _passages(Example.objects.filter(status=Example.Status.ACTIVE), "pk", "created_at", now),
        "annotated": _passages(_answers(), "task__example", "created_at", now),
        "settled": _passages(_settled(), "example", "settled_at", now),
        "cleared": _passages(_settled().filter(_judged(cleared=True)), "example", "settled_at", now),
        "snapshot": _snapshots(Min("frozen_at"), now),
        "trained": _snapshots(Min("runs__finished_at", filter=Q(runs__status=TrainingRun.Status.DONE)), now),
        "promoted": _snapshots(Min("runs__model__promoted_at"), now),
        "suggested": _passages(_suggestions(), "example", "first", now),
    }
    values: Values = {}
    for station, counts in passed.items():
        waiting = _WAITING[station](passed)
        values |= {gauge_name(station, measure): n for measure, n in (counts | {"waiting": waiting}).items()}
    return values | _details()


def _passages(rows: QuerySet[Any], thing: str, at: str, now: datetime) -> dict[str, int]:
    week, fortnight = now - timedelta(days=7), now - timedelta(days=14)

    def count(condition: Q) -> Count:
        return Count(thing, distinct=True, filter=condition)

    return rows.aggregate(
        total=count(Q(**{f"{at}__isnull": False})),
        day=count(Q(**{f"{at}__gt": now - timedelta(days=1)})),
        week=count(Q(**{f"{at}__gt": week})),
        last_week=count(Q(**{f"{at}__gt": fortnight, f"{at}__lte": week})),
    )


def _answers() -> QuerySet[Annotation]:
    """First answers: fixes of them and answers taken back are no work of an annotator's."""
    return Annotation.objects.filter(parent=None).exclude(state=Annotation.State.UNDONE)


def _settled() -> QuerySet[Task]:
    return Task.objects.filter(state=Task.State.SETTLED)


def _judged(*, cleared: bool | None = None) -> Exists:
    """Judged for fine-tuning: the wheel is about replies, and what is cleared only to measure with teaches none."""
    verdicts = GateVerdict.objects.filter(record=OuterRef("example__provenance"), purpose="sft")
    return Exists(verdicts if cleared is None else verdicts.filter(cleared=cleared))


def _snapshots(first: Min, now: datetime) -> dict[str, int]:
    """Passages of examples through snapshots that got somewhere for the first time on a date.

    An example passed after a date when no snapshot that got there by then holds it. Rows are so read once, whatever
    the number of runs; a subquery for each task takes fifty times as long with 100,000 of them.
    """
    dates = {pk: at for pk, at in Snapshot.objects.annotate(at=first).values_list("pk", "at") if at is not None}
    ends = {"total": now, **{name: now - timedelta(days=days) for name, days in (("day", 1), ("week", 7), ("old", 14))}}
    by = SnapshotRow.objects.filter(tainted_at=None, snapshot__in=list(dates)).aggregate(**{
        name: Count("example", distinct=True, filter=Q(snapshot__in=[pk for pk, at in dates.items() if at <= end]))
        for name, end in ends.items()
    })
    return {
        "total": by["total"], "day": by["total"] - by["day"], "week": by["total"] - by["week"],
        "last_week": by["week"] - by["old"],
    }


def _suggestions() -> QuerySet[Any]:
    """Examples that a model suggested for, each with the `first` time."""
    found = Suggestion.objects.filter(origin=Suggestion.Origin.MODEL, withdrawn_at=None)
    return found.order_by().values("example").annotate(first=Min("created_at"))


def _open_without_suggestion() -> int:
    champions = ModelVersion.objects.filter(status=ModelVersion.Status.CHAMPION, project=OuterRef("project"))
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
        "wheel.untasked": Example.objects.filter(
            no_task, status=Example.Status.ACTIVE, duplicate_of=None, source__projects=None
        ).count(),
        "wheel.runs_waiting": TrainingRun.objects.filter(status__in=waiting).count(),
        "wheel.candidates": ModelVersion.objects.filter(status=ModelVersion.Status.CANDIDATE).count(),
    }


def house_counts() -> Values:
    """What the homes of steward and admin show besides the gate's own gauges: decisions that wait, and failures."""
    present = ProvenanceRecord.PersonalData.PRESENT
    return {
        "home.decide.quarantined": _count(ProvenanceRecord, quarantined_at__isnull=False, erased_at=None),
        "home.decide.personal_data": _count(ProvenanceRecord, personal_data=present, erased_at=None),
        "home.decide.withdrawals": _count(Withdrawal, completed_at=None),
        "home.failed.captures": _count(Capture, status=Capture.Status.DEAD),
        "home.failed.messages": jobs_dead().count(),
    }


def _count(model: type[Model], **where: Any) -> int:
    return model._default_manager.filter(**where).count()


def project_counts(now: datetime) -> dict[str, Values]:
    """Per project scope: backlog, what was settled this week and last, and what reviewers decided this week."""
    week, fortnight = now - timedelta(days=7), now - timedelta(days=14)
    state = Task.State
    tasks = Project.objects.annotate(
        open=Count("tasks", filter=Q(tasks__state=state.OPEN)),
        in_review=Count("tasks", filter=Q(tasks__state=state.IN_REVIEW)),
        settled=Count("tasks", filter=Q(tasks__state=state.SETTLED)),
        settled_week=Count("tasks", filter=Q(tasks__settled_at__gt=week)),
        settled_last_week=Count("tasks", filter=Q(tasks__settled_at__gt=fortnight, tasks__settled_at__lte=week)),
    )
    names = ("open", "in_review", "settled", "settled_week", "settled_last_week")
    counts = {f"project:{row['pk']}": {f"home.{n}": row[n] for n in names} for row in tasks.values("pk", *names)}
    decisions = (
        Review.objects.filter(created_at__gt=week)
        .values("task__project")
        .annotate(
            accept=Count("pk", filter=Q(decision=Review.Decision.ACCEPT)),
            fix=Count("pk", filter=Q(decision=Review.Decision.FIX)),
            reject=Count("pk", filter=Q(decision=Review.Decision.REJECT)),
        )
    )
    found = {f"project:{row['task__project']}": dict(row) for row in decisions}
    flags = Flag.objects.filter(state=Flag.State.OPEN).order_by().values_list("project").annotate(n=Count("pk"))
    flagged = {f"project:{project}": n for project, n in flags}
    for scope, values in counts.items():
        row: dict[str, Any] = found.get(scope, {})
        values |= {f"home.review.{n}": row.get(n, 0) for n in ("accept", "fix", "reject")}
        values["home.flags"] = flagged.get(scope, 0)
    return counts


def person_counts(now: datetime) -> dict[str, Values]:
    """Per person scope: answers of the last day, week and the week before, what became of them, seconds per task."""
    week, fortnight = now - timedelta(days=7), now - timedelta(days=14)
    state = Annotation.State
    this_week = Q(created_at__gt=week)
    rows = (
        _answers()
        .filter(created_at__gt=now - timedelta(days=30))
        .values("author")
        .annotate(
            day=Count("pk", filter=Q(created_at__gt=now - timedelta(days=1))),
            week=Count("pk", filter=this_week),
            last_week=Count("pk", filter=Q(created_at__gt=fortnight, created_at__lte=week)),
            accepted=Count("pk", filter=this_week & Q(state=state.ACCEPTED)),
            fixed=Count("pk", filter=this_week & Q(state=state.FIXED)),
            rejected=Count("pk", filter=this_week & Q(state=state.REJECTED)),
            seconds=Avg("lead_time_seconds", filter=this_week),
        )
    )
    names = ("day", "week", "last_week", "accepted", "fixed", "rejected", "seconds")
    found: list[dict[str, Any]] = [dict(row) for row in rows]
    return {f"user:{row['author']}": {f"home.{n}": row[n] or 0 for n in names} for row in found}
