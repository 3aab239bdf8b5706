"""Reviews through the services: accept, fix, reject, and who may."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation import selectors, services
from annotation.domain.labels import result_build
from annotation.label_config import label_config_of
from annotation.models import Assignment, Review, Suggestion, Task
from flywheel.core.errors import Conflict, Forbidden, NotFound, ValidationFailed
from flywheel.core.models import User
from flywheel.datasets.selectors import settled_chunks
from tests.annotation.test_services import overlap, submit

pytestmark = pytest.mark.django_db


def test_accepting_settles_the_task_and_other_answers_are_not_chosen(
    project, stock, annotator, annotator2, reviewer, answer
):
    overlap(project, 2)
    (task,) = stock(1)
    first, second = submit(project, annotator, answer), submit(project, annotator2, answer)
    services.review_settle(annotation_id=second.pk, reviewer=reviewer, decision="accept")
    task.refresh_from_db()
    first.refresh_from_db()
    assert (task.state, task.settled_annotation, first.state) == ("settled", second, "not_chosen")
    assert [row.reply for rows in settled_chunks(project) for row in rows] == [answer[0]["value"]["text"][0]]


def test_a_task_is_not_judged_before_all_answers_are_in(project, stock, annotator, reviewer, answer):
    overlap(project, 2)
    stock(1)
    given = submit(project, annotator, answer)
    with pytest.raises(Conflict, match="no longer waits"):
        services.review_settle(annotation_id=given.pk, reviewer=reviewer, decision="accept")


def test_a_fix_is_a_new_annotation_of_the_reviewer(project, stock, annotator, reviewer, answer):
    (task,) = stock(1)
    suggestion = Suggestion.objects.get(example=task.example)
    given = submit(project, annotator, answer, suggestion_id=suggestion.pk)
    fixed = result_build(label_config_of(project), {"reply": "Better.", "quality": "wrong"})
    made = services.review_settle(annotation_id=given.pk, reviewer=reviewer, decision="fix", fixed_result=fixed)
    task.refresh_from_db()
    given.refresh_from_db()
    fix = made.fixed_annotation
    assert (task.settled_annotation, fix.parent, fix.author, fix.state) == (fix, given, reviewer, "accepted")
    assert (given.state, given.result) == ("fixed", given.result)
    assert fix.suggestion == suggestion
    ((row,),) = settled_chunks(project)
    assert row.reply == "Better."


@pytest.mark.parametrize(("decision", "kwargs", "says"), [
    ("maybe", {}, "not a decision"), ("reject", {"comment": " "}, "what has to change"),
    ("accept", {"comment": "x" * 2_001}, "at most 2000"), ("fix", {"fixed_result": []}, "required and empty"),
    ("fix", {"fixed_result": None}, "must be a list"),
])
def test_a_faulty_decision_is_refused_and_changes_nothing(
    project, stock, annotator, reviewer, answer, decision, kwargs, says
):
    stock(1)
    given = submit(project, annotator, answer)
    with pytest.raises(ValidationFailed, match=says):
        services.review_settle(annotation_id=given.pk, reviewer=reviewer, decision=decision, **kwargs)
    assert not Review.objects.exists()


def test_a_fix_that_changes_nothing_is_refused(project, stock, annotator, reviewer, answer):
    stock(1)
    given = submit(project, annotator, answer)
    with pytest.raises(ValidationFailed, match="accept it instead"):
        services.review_settle(annotation_id=given.pk, reviewer=reviewer, decision="fix", fixed_result=given.result)


def test_a_rejected_answer_comes_first_to_its_author_with_the_comment(
    project, stock, annotator, annotator2, reviewer, answer
):
    task, second, _ = stock(3)
    given = submit(project, annotator, answer)
    current = services.task_next(project=project, user=annotator)
    services.review_settle(annotation_id=given.pk, reviewer=reviewer, decision="reject", comment="Say when.")
    given.refresh_from_db()
    task.refresh_from_db()
    assert (given.state, task.state, task.available) == ("rejected", "open", False)
    back = services.task_next(project=project, user=annotator)
    assert (back.task, current.task) == (task, second)
    assert back.why == "a reviewer sent your answer back with a comment"
    assert back.draft == given.result
    assert selectors.rejection_of(task, annotator).comment == "Say when."
    again = services.annotation_submit(assignment_id=back.pk, user=annotator, result=answer)
    assert again.pk != given.pk
    services.review_settle(annotation_id=again.pk, reviewer=reviewer, decision="accept")


def test_returned_work_that_is_left_lying_goes_to_others(project, stock, annotator, annotator2, reviewer, answer):
    (task,) = stock(1)
    given = submit(project, annotator, answer)
    services.review_settle(annotation_id=given.pk, reviewer=reviewer, decision="reject", comment="no")
    assert services.task_next(project=project, user=annotator2) is None
    Assignment.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert services.task_next(project=project, user=annotator2).task == task


def test_nobody_judges_their_own_answer(project, stock, annotator, lead, answer):
    stock(1)
    given = submit(project, lead, answer)
    with pytest.raises(Forbidden, match="answered task"):
        services.review_settle(annotation_id=given.pk, reviewer=lead, decision="accept")
    assert selectors.review_next(project=project, user=lead) is None


def test_only_reviewers_of_the_project_judge(project, stock, annotator, annotator2, stranger, admin, answer):
    stock(1)
    given = submit(project, annotator, answer)
    for user in (annotator2, stranger, admin):
        with pytest.raises(Forbidden):
            services.review_settle(annotation_id=given.pk, reviewer=user, decision="accept")


def test_the_second_decision_is_told_who_was_first(project, stock, annotator, reviewer, lead, answer):
    stock(1)
    given = submit(project, annotator, answer)
    services.review_settle(annotation_id=given.pk, reviewer=reviewer, decision="accept")
    with pytest.raises(Conflict, match="rex was first"):
        services.review_settle(annotation_id=given.pk, reviewer=lead, decision="accept")
    with pytest.raises(NotFound):
        services.review_settle(annotation_id=10**9, reviewer=lead, decision="accept")


@pytest.mark.parametrize("leaves", ["before", "after", "is closed out"])
def test_what_is_sent_back_to_somebody_who_has_left_is_anybodys_at_once(
    project, stock, annotator, annotator2, reviewer, lead, answer, leaves,
):
    (task,) = stock(1)
    given = submit(project, annotator, answer)
    if leaves == "is closed out":
        User.objects.filter(pk=annotator.pk).update(is_active=False)
    if leaves == "before":
        services.membership_remove(project=project, user=annotator, role="annotator", by=lead)
    services.review_settle(annotation_id=given.pk, reviewer=reviewer, decision="reject", comment="Fix it.")
    if leaves == "after":
        services.membership_remove(project=project, user=annotator, role="annotator", by=lead)
    assert services.task_next(project=project, user=annotator2).task_id == task.pk
    task.refresh_from_db()
    assert (task.state, task.slots_taken, task.submitted_count) == (Task.State.OPEN, 1, 0)


def test_what_is_sent_back_is_kept_for_who_lost_one_role_and_annotates_by_another(
    project, stock, annotator, annotator2, reviewer, lead, answer,
):
    (task,) = stock(1)
    given = submit(project, annotator, answer)
    services.membership_set(project=project, user=annotator, role="lead")
    services.review_settle(annotation_id=given.pk, reviewer=reviewer, decision="reject", comment="Fix it.")
    services.membership_remove(project=project, user=annotator, role="annotator", by=lead)
    assert services.task_next(project=project, user=annotator2) is None
    assert services.task_next(project=project, user=annotator).task_id == task.pk
