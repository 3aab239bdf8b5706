"""Fifty people at once on PostgreSQL: the promises of leases and submits hold under races."""

from __future__ import annotations

import contextlib
import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection

from annotation import services
from annotation.models import Annotation, Assignment, Flag, Membership, Project, Review, Task
from flywheel.audit.ledger import ledger_verify
from flywheel.core.errors import Conflict, UserError
from flywheel.core.models import User
from tests.annotation.conftest import make_examples

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

PEOPLE = 50


def together(functions: list[Callable[[], Any]]) -> list[Any]:
    """Run all at the same moment, each on its own connection; errors are returned, not raised."""
    barrier = threading.Barrier(len(functions))

    def run(function: Callable[[], Any]) -> Any:
        try:
            barrier.wait()
            return function()
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(functions)) as pool:
        return list(pool.map(run, functions))


def crowd(project: Project) -> list[User]:
    people = User.objects.bulk_create([User(username=f"person{n}") for n in range(PEOPLE)])
    Membership.objects.bulk_create([Membership(project=project, user=p, role="annotator") for p in people])
    return people


@pytest.mark.parametrize(("overlap", "tasks"), [(1, 200), (3, 100)])
def test_fifty_annotators_do_every_task_exactly_overlap_times(project, source, answer, overlap, tasks):
    Project.objects.filter(pk=project.pk).update(overlap=overlap)
    project.refresh_from_db()
    make_examples(source, tasks)
    services.tasks_make(project=project, limit=tasks)
    too_many: list[int] = []

    def work(person: User) -> int:
        done = 0
        while (held := services.task_next(project=project, user=person)) is not None:
            holders = Assignment.objects.filter(task=held.task_id, status__in=["active", "submitted"]).count()
            if holders > overlap:
                too_many.append(held.task_id)
            if random.random() < 0.1:
                services.lease_release(assignment_id=held.pk, user=person)
                continue
            services.annotation_submit(assignment_id=held.pk, user=person, result=answer, submission_id=uuid4())
            done += 1
        return done

    results = together([lambda p=p: work(p) for p in crowd(project)])
    assert [r for r in results if isinstance(r, Exception)] == []
    assert too_many == []
    # A person may have left just before another gave a place back: the next person does the stragglers.
    for person in User.objects.filter(username__startswith="person"):
        work(person)
    counts = Counter(Annotation.objects.values_list("task_id", flat=True))
    assert len(counts) == tasks
    assert set(counts.values()) == {overlap}
    assert Annotation.objects.values("task", "author").distinct().count() == tasks * overlap
    assert set(Task.objects.values_list("state", "slots_taken", "submitted_count")) == {("in_review", overlap, overlap)}
    assert ledger_verify().ok


def test_the_same_submit_ten_times_at_once_is_one_annotation(project, stock, annotator, answer):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    uid = uuid4()
    results = together([
        lambda: services.annotation_submit(assignment_id=held.pk, user=annotator, result=answer, submission_id=uid)
    ] * 10)
    assert {getattr(r, "pk", r) for r in results} == {Annotation.objects.get().pk}


def test_ten_different_submits_of_one_task_at_once_are_one_annotation(project, stock, annotator, answer):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    results = together([
        lambda: services.annotation_submit(assignment_id=held.pk, user=annotator, result=answer, submission_id=uuid4())
    ] * 10)
    assert sum(isinstance(r, Annotation) for r in results) == 1
    assert all(isinstance(r, Annotation | Conflict) for r in results)
    assert Annotation.objects.count() == 1


def test_two_windows_of_one_person_renew_and_save_without_blocking_each_other(project, stock, annotator, answer):
    stock(2)
    held = services.task_next(project=project, user=annotator)
    ahead = services.task_peek(project=project, user=annotator, current_id=held.pk)

    def act(assignment: Assignment) -> None:
        for version in range(1, 6):
            services.draft_save(assignment=assignment.pk, user=annotator, draft=answer, version=version)
            services.lease_renew(assignment_id=assignment.pk, user=annotator)

    results = together([lambda a=a: act(a) for a in (held, ahead) * 4])
    assert results == [None] * 8


def test_two_windows_of_one_person_get_the_same_task(project, stock, annotator):
    stock(5)
    results = together([lambda: services.task_next(project=project, user=annotator)] * 8)
    assert len({r.pk for r in results}) == 1


def test_of_several_reviewers_at_once_one_wins_and_the_others_are_told(project, stock, annotator, answer):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    given = services.annotation_submit(assignment_id=held.pk, user=annotator, result=answer)
    people = crowd(project)[:8]
    Membership.objects.filter(user__in=people).update(role="reviewer")
    decisions = ["accept", "reject"] * 4
    results = together([
        lambda p=p, d=d: services.review_settle(annotation_id=given.pk, reviewer=p, decision=d, comment="no")
        for p, d in zip(people, decisions, strict=True)
    ])
    assert sum(isinstance(r, Review) for r in results) == 1
    refused = [r for r in results if not isinstance(r, Review)]
    assert all(isinstance(r, Conflict) and "no longer waits" in r.message for r in refused)


def test_leases_that_run_out_under_load_are_never_given_to_too_many(project, source, answer):
    Project.objects.filter(pk=project.pk).update(lease_seconds=60)
    project.refresh_from_db()
    make_examples(source, 40)
    services.tasks_make(project=project, limit=40)

    refusals: list[str] = []

    def work(person: User) -> None:
        for _ in range(6):
            held = services.task_next(project=project, user=person)
            if held is None:
                return
            Assignment.objects.filter(pk=held.pk).update(expires_at=held.leased_at)
            services.leases_sweep(limit=10)
            try:
                services.annotation_submit(assignment_id=held.pk, user=person, result=answer)
            except UserError as error:
                refusals.append(error.message)

    results = together([lambda p=p: work(p) for p in crowd(project)[:20]])
    assert [r for r in results if isinstance(r, Exception)] == []
    assert all("draft" in refusal or "answered" in refusal for refusal in refusals)
    assert max(Counter(Annotation.objects.values_list("task_id", flat=True)).values()) == 1


def test_two_windows_of_one_person_flag_once_and_several_people_flag_the_task_once(project, stock, answer):
    Project.objects.filter(pk=project.pk).update(overlap=8)
    project.refresh_from_db()
    (task,) = stock(1)
    people = crowd(project)[:8]
    for person in people:
        services.task_next(project=project, user=person)
    results = together([
        lambda p=p: services.task_flag(task_id=task.pk, user=p, reason="unsafe") for p in people for _ in range(3)
    ])
    assert [r for r in results if isinstance(r, Exception)] == []
    assert Counter(Flag.objects.values_list("raised_by", flat=True)) == {person.pk: 1 for person in people}
    task.refresh_from_db()
    assert (task.state, task.slots_taken) == ("flagged", 0)
    assert set(Assignment.objects.values_list("status", flat=True)) == {"flagged"}
    assert ledger_verify().ok


def test_flagging_against_submitting_undoing_and_deciding_never_breaks_the_places(project, source, lead, answer):
    Project.objects.filter(pk=project.pk).update(overlap=2)
    project.refresh_from_db()
    make_examples(source, 12)
    services.tasks_make(project=project, limit=12)
    people = crowd(project)[:10]

    def work(person: User) -> None:
        for n in range(8):
            held = services.task_next(project=project, user=person)
            if held is None:
                return
            act = [
                lambda held=held: services.task_flag(task_id=held.task_id, user=person, reason="unsafe"),
                lambda held=held: services.annotation_submit(assignment_id=held.pk, user=person, result=answer),
                lambda: services.work_undo(project=project, user=person),
            ][(n + person.pk) % 3]
            with contextlib.suppress(UserError):
                act()

    def decide() -> None:
        for n in range(30):
            raised = Flag.objects.filter(state="open").order_by("pk").first()
            if raised is not None:
                with contextlib.suppress(UserError):
                    services.flag_resolve(flag_id=raised.pk, by=lead, decision=("return", "close")[n % 4 == 0])

    results = together([*[lambda p=p: work(p) for p in people], decide, decide])
    assert [r for r in results if isinstance(r, Exception)] == []
    for task in Task.objects.all():
        held = Counter(task.assignments.values_list("status", flat=True))
        assert task.slots_taken == held["active"] + held["submitted"] + held["returned"], (task, task.state, held)
        assert task.submitted_count == held["submitted"]
        assert (task.state == "flagged") == task.flags.filter(state="open").exists()
        assert task.available == (task.state == "open" and task.slots_taken < task.overlap)
    assert ledger_verify().ok
