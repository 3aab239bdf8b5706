"""Tasks as a stock: made, swept, withdrawn; what datasets reads; numbers."""

from __future__ import annotations

import pytest
from django.utils import timezone

from annotation import selectors, services, tasks
from annotation.models import Annotation, Assignment, Project, Suggestion, Task
from annotation.stats import origins_of, people_of, project_numbers
from flywheel.audit.models import LedgerEntry
from flywheel.capture.models import Example
from flywheel.core.errors import Conflict
from flywheel.datasets.selectors import settled_chunks
from flywheel.stats.models import Gauge
from flywheel.stats.registry import stats_refresh
from flywheel.stats.series import gauges_of
from tests.annotation.conftest import make_examples, make_source
from tests.annotation.test_services import submit

pytestmark = pytest.mark.django_db


def test_each_eligible_example_becomes_one_task(project, source):
    kept, copy, gone, *_ = make_examples(source, 5)
    Example.objects.filter(pk=copy.pk).update(duplicate_of=kept)
    Example.objects.filter(pk=gone.pk).update(status="withdrawn")
    assert services.tasks_make(project=project, limit=2) == 2
    assert services.tasks_make(project=project, limit=2) == 1
    assert services.tasks_make(project=project, limit=2) == 0
    made = list(Task.objects.order_by("pk").values_list("example_id", flat=True))
    assert made == sorted(made)
    assert {copy.pk, gone.pk}.isdisjoint(made)
    assert LedgerEntry.objects.filter(action="task.make").count() == 2


def test_an_example_that_became_visible_late_still_becomes_a_task(project, source):
    late, *_ = make_examples(source, 3)
    Example.objects.filter(pk=late.pk).update(status="withdrawn")
    services.tasks_make(project=project)
    Example.objects.filter(pk=late.pk).update(status="active")
    assert services.tasks_make(project=project) == 1


def test_an_example_far_behind_is_found_by_the_reconciliation(project, source, monkeypatch):
    monkeypatch.setattr("annotation.services.tasks.LOOK_BACK", 0)
    monkeypatch.setattr("annotation.services.tasks.RECONCILE_CHUNK", 2)
    late, *_ = make_examples(source, 5)
    Example.objects.filter(pk=late.pk).update(status="withdrawn")
    services.tasks_make(project=project)
    Example.objects.filter(pk=late.pk).update(status="active")
    assert services.tasks_make(project=project) == 0
    assert tasks.reconcile_tasks() == 1
    assert tasks.reconcile_tasks() == 0


def test_a_source_added_later_brings_its_older_examples(project, source, lead):
    other = make_source(lead, "older")
    make_examples(other, 2)
    make_examples(source, 2)
    services.tasks_make(project=project)
    services.project_change(project=project, by=lead, sources=[source, other])
    assert services.tasks_make(project=project) == 2


def test_a_paused_project_gets_no_task(project, source, lead):
    make_examples(source, 1)
    services.project_archive(project=project, by=lead, archived=True)
    assert services.tasks_make(project=project) == 0
    assert tasks.make_tasks() == 0


def test_the_jobs_make_sweep_and_count(project, source, annotator, answer):
    make_examples(source, 3)
    assert tasks.make_tasks() == 3
    task = Task.objects.first()
    suggestion = Suggestion.objects.get(example=task.example)
    submit(project, annotator, answer, lead_time_seconds=10, suggestion_id=suggestion.pk)
    services.task_next(project=project, user=annotator)
    Assignment.objects.filter(status="active").update(expires_at=timezone.now())
    assert tasks.sweep_leases() == 1
    stats_refresh(due_only=False)
    numbers = project_numbers(project)
    assert (numbers.now["tasks_open"], numbers.now["tasks_in_review"], numbers.now["answers_today"]) == (2, 1, 1)
    assert numbers.as_of
    assert people_of(project)[0].numbers["answers"] == 1
    assert [(o.name, o.shown, o.edited) for o in origins_of(project)] == [("agent", 1, 1)]
    assert gauges_of("origin:agent").value("edited") == 1
    count = Gauge.objects.count()
    stats_refresh(due_only=False)
    assert Gauge.objects.count() == count


def test_withdrawing_ends_leases_clears_drafts_and_can_be_repeated(project, stock, annotator, annotator2, answer):
    held_task, done_task, other = stock(3)
    held = services.task_next(project=project, user=annotator)
    services.draft_save(assignment=held, user=annotator, draft=answer, version=1)
    given = submit(project, annotator2, answer)
    records = [held_task.example.provenance_id, done_task.example.provenance_id]
    first = services.tasks_withdraw(record_ids=records)
    assert (first.task_ids, first.annotation_ids, first.changed) == ([held_task.pk, done_task.pk], [given.pk], 2)
    held.refresh_from_db()
    assert (held.status, held.draft) == ("expired", [])
    again = services.tasks_withdraw(record_ids=records)
    assert (again.task_ids, again.changed) == (first.task_ids, 0)
    assert LedgerEntry.objects.filter(action="task.withdraw").count() == 1
    assert services.task_next(project=project, user=annotator).task == other


def test_on_a_withdrawn_task_nothing_is_saved(project, stock, annotator, reviewer, answer):
    (task, _) = stock(2)
    held = services.task_next(project=project, user=annotator)
    services.tasks_withdraw(record_ids=[task.example.provenance_id])
    with pytest.raises(Conflict, match="withdrawn"):
        services.annotation_submit(assignment_id=held.pk, user=annotator, result=answer)
    with pytest.raises(Conflict, match="withdrawn"):
        services.draft_save(assignment=held, user=annotator, draft=answer, version=5)
    with pytest.raises(Conflict, match="withdrawn"):
        services.assignment_open(user=annotator, assignment_id=held.pk)
    held.refresh_from_db()
    assert held.draft == []
    assert Annotation.objects.count() == 0


def test_a_withdrawn_task_in_review_cannot_be_settled(project, stock, annotator, reviewer, answer):
    (task,) = stock(1)
    given = submit(project, annotator, answer)
    services.tasks_withdraw(record_ids=[task.example.provenance_id])
    with pytest.raises(Conflict):
        services.review_settle(annotation_id=given.pk, reviewer=reviewer, decision="accept")
    assert list(settled_chunks(project)) == []


def test_settled_tasks_are_read_a_chunk_at_a_time_with_one_query_each(
    project, stock, annotator, reviewer, answer, django_assert_num_queries, monkeypatch
):
    monkeypatch.setattr("flywheel.datasets.selectors.CHUNK", 3)
    stock(6)
    for _ in range(4):
        given = submit(project, annotator, answer)
        services.review_settle(annotation_id=given.pk, reviewer=reviewer, decision="accept")
    with django_assert_num_queries(3):
        chunks = list(settled_chunks(project))
    assert [len(rows) for rows in chunks] == [3, 1]
    rows = [row for chunk in chunks for row in chunk]
    settled = Task.objects.filter(state="settled").order_by("pk")
    assert [row.task_id for row in rows] == list(settled.values_list("pk", flat=True))
    assert {row.label for row in rows} == {"needs_edits"}


def test_a_task_that_is_not_settled_has_a_reason_against_it(project, stock):
    (task,) = stock(1)
    assert [r.rule for r in selectors.quality_reasons(task)] == ["not_settled"]
    assert [r.rule for r in selectors.quality_reasons(None)] == ["no_task"]


def test_a_model_suggestion_stands_before_the_agents(stock):
    (task,) = stock(1)
    Suggestion.objects.create(example=task.example, origin="model", origin_name="m1", text="model")
    gone = Suggestion.objects.create(example=task.example, origin="model", origin_name="m2", text="gone")
    Suggestion.objects.filter(pk=gone.pk).update(withdrawn_at=timezone.now())
    assert [s.origin_name for s in selectors.suggestions_of(task.example)] == ["m1", "agent"]


def test_reviewers_are_spread_over_the_queue(project, stock, annotator, reviewer, lead, answer):
    tasks = stock(3)
    for _ in tasks:
        submit(project, annotator, answer)
    first = {selectors.review_next(project=project, user=user).pk for user in (reviewer, lead)}
    assert len(first) == 2
    assert selectors.review_next(project=project, user=reviewer, after_id=tasks[0].pk).pk == tasks[1].pk
    assert selectors.review_next(project=project, user=reviewer, after_id=tasks[2].pk).pk in [t.pk for t in tasks]


def test_projects_are_made_and_changed_by_their_leads(project, lead, admin, annotator, source):
    from flywheel.core.errors import Forbidden, ValidationFailed

    with pytest.raises(Forbidden):
        services.project_create(by=annotator, name="x")
    with pytest.raises(Forbidden):
        services.project_change(project=project, by=annotator, name="x")
    for fault, field in (({"name": ""}, "name"), ({"name": "A", "slug": "A b"}, "slug"), ({"name": "new"}, "slug"),
                         ({"name": "S", "slug": project.slug}, "slug"), ({"name": "A", "overlap": 0}, "overlap"),
                         ({"name": "A", "lease_seconds": 1}, "lease_seconds"),
                         ({"name": "A", "label_config": "<View/>"}, "label_config")):
        with pytest.raises(ValidationFailed) as caught:
            services.project_create(by=lead, **fault)
        assert caught.value.field == field
    changed = services.project_change(project=project, by=admin, name="Renamed", overlap=2)
    assert (changed.name, changed.overlap) == ("Renamed", 2)
    count = LedgerEntry.objects.count()
    services.project_change(project=project, by=admin, name="Renamed", sources=[source])
    assert LedgerEntry.objects.count() == count


def test_the_last_lead_of_a_project_stays(project, lead, reviewer):
    with pytest.raises(Conflict, match="last lead"):
        services.membership_remove(project=project, user=lead, role="lead", by=lead)
    services.membership_set(project=project, user=reviewer, role="lead", by=lead)
    services.membership_remove(project=project, user=lead, role="lead", by=reviewer)


def test_the_default_project_is_made_once_and_gains_sources(project, lead, source):
    other = make_source(lead, "other")
    again = services.default_project_ensure(by=lead, sources=[other])
    assert again.pk == project.pk
    assert set(again.sources.all()) == {source, other}
    assert Project.objects.count() == 1
