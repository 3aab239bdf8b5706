"""What the job counts: each station once per example, dated by its first passage; backlogs; people; projects."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.models import Annotation, Task
from flywheel.capture.models import Capture, Source
from flywheel.core.models import User
from flywheel.dashboard import selectors, stats, wheel
from flywheel.dashboard.wheel import gauge_name
from flywheel.datasets.models import SnapshotRow
from flywheel.runs.models import TrainingRun
from flywheel.stats.models import Gauge
from flywheel.stats.registry import stats_refresh
from flywheel.stats.series import gauges_of
from provenance.models import GateVerdict
from tests.flywheel.dashboard.conftest import Turn, count_all, example_make


def test_the_job_counts_every_gauge_of_the_wheel(turn: Turn) -> None:
    assert set(stats.wheel_counts(timezone.now())["all"]) == set(wheel.GAUGES)


@pytest.mark.parametrize(
    ("station", "total", "waiting"),
    [
        ("captured", 2, 0), ("annotated", 1, 1), ("settled", 1, 0), ("cleared", 1, 0), ("snapshot", 1, 0),
        ("trained", 1, 0), ("promoted", 1, 0), ("suggested", 1, 1),
    ],
)
def test_one_turn_is_counted_at_each_station(station: str, total: int, waiting: int, turn: Turn) -> None:
    values = stats.wheel_counts(timezone.now())["all"]
    assert values[gauge_name(station, "total")] == total
    assert values[gauge_name(station, "week")] == total
    assert values[gauge_name(station, "waiting")] == waiting


def test_what_is_cleared_only_to_measure_with_teaches_nothing(turn: Turn, source: Source) -> None:
    example, now = example_make(source, 3), timezone.now()
    Task.objects.create(project=turn.project, example=example, state="settled", settled_at=now)
    for purpose, cleared in (("evaluation", True), ("sft", False)):
        GateVerdict.objects.create(
            record=example.provenance, purpose=purpose, region="EU", cleared=cleared, judged_at=now
        )
    values = stats.wheel_counts(now)["all"]
    assert values[gauge_name("cleared", "total")] == 1
    assert values["wheel.refused"] == 1


def test_an_empty_house_counts_zero(db: None) -> None:
    values = stats.wheel_counts(timezone.now())["all"]
    assert set(values.values()) == {0}


def test_freezing_and_training_twice_count_an_example_once_at_its_first_time(turn: Turn, lead: User) -> None:
    row = SnapshotRow.objects.get()
    run = TrainingRun.objects.get()
    first = timezone.now() - timedelta(days=10)
    type(row.snapshot).objects.filter(pk=row.snapshot_id).update(frozen_at=first)
    second = row.snapshot
    second.pk, second.uid, second.frozen_at = None, "00000000-0000-0000-0000-000000000001", timezone.now()
    second.save()
    SnapshotRow.objects.create(
        snapshot=second, leaf_index=0, leaf_sha256="d" * 64, split="train", group_key="g", example=turn.taught,
        record=turn.taught.provenance,
    )
    run.pk, run.uid, run.snapshot = None, "00000000-0000-0000-0000-000000000002", second
    run.save()
    values = stats.wheel_counts(timezone.now())["all"]
    assert values["wheel.snapshot.total"] == 1
    assert values["wheel.snapshot.week"] == 0
    assert values["wheel.snapshot.last_week"] == 1
    assert values["wheel.trained.total"] == 1


def test_answers_taken_back_and_fixes_are_no_passages(turn: Turn, annotator: User, reviewer: User) -> None:
    task = Task.objects.get(example=turn.waiting)
    common = {"task": task, "project": turn.project}
    Annotation.objects.create(author=annotator, state="undone", **common)
    Annotation.objects.create(author=reviewer, state="accepted", parent=Annotation.objects.first(), **common)
    assert stats.wheel_counts(timezone.now())["all"]["wheel.annotated.total"] == 1


def test_what_waits_and_what_is_refused_is_counted(turn: Turn, source: Source) -> None:
    Capture.objects.update(status="received")
    Task.objects.filter(example=turn.waiting).update(state="settled", settled_at=timezone.now())
    example = example_make(source, 3)
    Task.objects.create(project=turn.project, example=example, state="in_review")
    loose = Source.objects.create(name="loose", owner=source.owner)
    example_make(loose, 4)
    values = stats.wheel_counts(timezone.now())["all"]
    assert values["wheel.captured.waiting"] == 2
    assert values["wheel.settled.waiting"] == 1
    assert values["wheel.refused"] == 1
    assert values["wheel.cleared.waiting"] == 0
    assert values["wheel.untasked"] == 1


def test_people_and_projects_are_counted(turn: Turn, member: object, annotator: User) -> None:
    stats_refresh(due_only=False)
    mine = selectors.answers_of(annotator)
    assert (mine.day, mine.week, mine.accepted, mine.decided, mine.seconds) == (1, 1, 1, 1, 40)
    project = gauges_of(f"project:{turn.project.pk}")
    assert [project.get(n) for n in ("tasks.open", "tasks.settled", "home.review.accept")] == [1, 1, 1]


def test_counting_twice_changes_nothing(turn: Turn) -> None:
    stats_refresh(due_only=False)
    before = list(Gauge.objects.order_by("pk").values_list("scope", "name", "day", "value"))
    stats_refresh(due_only=False)
    assert list(Gauge.objects.order_by("pk").values_list("scope", "name", "day", "value")) == before


def test_the_wheel_reads_what_was_counted(turn: Turn) -> None:
    count_all()
    turning = selectors.wheel_now()
    assert [station.total for station in turning.stations] == [2, 1, 1, 1, 1, 1, 1, 1]
    assert turning.as_of is not None
    agent, model = turning.generations
    assert (agent.acceptance.edited, agent.acceptance.distance) == (1, 0.25)
    assert (model.acceptance.name, model.champion, model.acceptance.shown) == ("gen-1", True, 0)


def test_last_week_is_the_newest_count_of_at_least_seven_days_ago(db: None) -> None:
    today = timezone.now().date()
    for days, value in ((0, 50), (3, 45), (7, 30), (9, 10)):
        Gauge.objects.create(
            scope="all", name="n", day=today - timedelta(days=days), value=value, counted_at=timezone.now()
        )
    gauges = gauges_of("all")
    assert (gauges.get("n"), gauges.before("n"), gauges.change("n")) == (50, 30, 20)
    assert gauges.days("n") == [None, None, None, None, 10, None, 30, None, None, None, 45, None, None, 50]
    assert wheel.delta_text(50, 30) == "▲ 20 on last week"


def test_a_project_that_stands_has_no_forecast(turn: Turn, admin: User) -> None:
    stats_refresh(due_only=False)
    (numbers,) = selectors.projects_of(admin, "lead")
    assert numbers.forecast == "7 days"
    Task.objects.update(settled_at=timezone.now() - timedelta(days=30))
    stats_refresh(due_only=False)
    (numbers,) = selectors.projects_of(admin, "lead")
    assert numbers.forecast == "nothing settled last week"


def test_home_knows_of_the_first_task_for_review_before_the_next_count(turn: Turn, admin: User) -> None:
    stats_refresh(due_only=False)
    Task.objects.filter(state="open").update(state="in_review")
    (numbers,) = selectors.projects_of(admin, "reviewer")
    assert (numbers.open, numbers.in_review) == (0, 1)
