"""Work, answers and reviews through the services."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from annotation import services
from annotation.domain.labels import result_build
from annotation.label_config import label_config_of
from annotation.models import Annotation, Assignment, Membership, Project, Suggestion, Task
from annotation.selectors import suggestions_of
from flywheel.audit.ledger import ledger_verify
from flywheel.audit.models import LedgerEntry
from flywheel.core.errors import Conflict, Forbidden, NotFound, ValidationFailed
from tests.annotation.conftest import MESSAGES
from tests.sweeps import sweep

pytestmark = pytest.mark.django_db


def expire(assignment):
    Assignment.objects.filter(pk=assignment.pk).update(expires_at=timezone.now() - timedelta(seconds=1))


def submit(project, user, answer, **kwargs):
    held = services.task_next(project=project, user=user)
    return services.annotation_submit(assignment_id=held.pk, user=user, result=answer, **kwargs)


def overlap(project, people):
    Project.objects.filter(pk=project.pk).update(overlap=people)
    project.refresh_from_db()


# -- next --------------------------------------------------------------------------------------------------------------
def test_the_oldest_task_comes_first_and_stays_until_it_is_answered(project, stock, annotator):
    tasks = stock(3)
    held = services.task_next(project=project, user=annotator)
    assert held.task == tasks[0]
    assert held.why == "oldest free task of the project"
    again = services.task_next(project=project, user=annotator)
    assert (again.pk, again.why) == (held.pk, "you had started it")


def test_two_people_never_hold_one_task_with_one_place(project, stock, annotator, annotator2):
    first, second = stock(2)
    assert services.task_next(project=project, user=annotator).task == first
    assert services.task_next(project=project, user=annotator2).task == second


def test_with_two_places_two_people_get_the_same_task(project, stock, annotator, annotator2, lead):
    overlap(project, 2)
    first, second = stock(2)
    assert services.task_next(project=project, user=annotator).task == first
    shared = services.task_next(project=project, user=annotator2)
    assert shared.task == first
    assert "1 of 2" in shared.why
    assert services.task_next(project=project, user=lead).task == second


def test_without_a_task_there_is_none(project, annotator):
    assert services.task_next(project=project, user=annotator) is None


def test_peeking_leases_one_task_ahead_and_not_more(project, stock, annotator):
    tasks = stock(4)
    held = services.task_next(project=project, user=annotator)
    ahead = services.task_peek(project=project, user=annotator, current_id=held.pk)
    assert ahead.task == tasks[1]
    assert services.task_peek(project=project, user=annotator, current_id=held.pk).pk == ahead.pk
    assert Assignment.objects.filter(status="active").count() == 2


def test_a_stranger_and_a_reviewer_get_no_task(project, stock, stranger, reviewer):
    stock(1)
    for user in (stranger, reviewer):
        with pytest.raises(Forbidden, match="annotators and leads of project 'Support replies'"):
            services.task_next(project=project, user=user)


def test_a_person_switched_off_gets_no_task(project, stock, annotator):
    stock(1)
    annotator.is_active = False
    with pytest.raises(Forbidden):
        services.task_next(project=project, user=annotator)


def test_a_paused_project_gives_out_no_task(project, stock, annotator, lead):
    stock(1)
    services.project_archive(project=project, by=lead, archived=True)
    with pytest.raises(Conflict, match="paused"):
        services.task_next(project=project, user=annotator)
    services.project_archive(project=project, by=lead, archived=False)
    assert services.task_next(project=project, user=annotator)


def test_a_lease_that_ran_out_is_given_to_the_next_who_asks(project, stock, annotator, annotator2):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    assert services.task_next(project=project, user=annotator2) is None
    expire(held)
    got = services.task_next(project=project, user=annotator2)
    assert got.task == held.task
    assert "handed back" in got.why


def test_a_task_handed_back_is_found_by_people_who_are_past_it(project, stock, annotator, annotator2):
    first, second, _third = stock(3)
    held = services.task_next(project=project, user=annotator)
    later = services.task_next(project=project, user=annotator2)
    assert (held.task, later.task) == (first, second)
    services.task_skip(assignment_id=held.pk, user=annotator, reason="no idea")
    services.task_skip(assignment_id=later.pk, user=annotator2, reason="no idea")
    assert services.task_next(project=project, user=annotator2).task == first
    assert services.task_next(project=project, user=annotator).task == second


def test_a_skipped_task_does_not_come_back_to_its_skipper_unless_asked_for(project, stock, annotator):
    (only,) = stock(1)
    held = services.task_next(project=project, user=annotator)
    services.task_skip(assignment_id=held.pk, user=annotator, reason="language")
    assert services.task_next(project=project, user=annotator) is None
    assert services.skips_restore(project=project, user=annotator) == 1
    assert services.task_next(project=project, user=annotator).task == only


@pytest.mark.sweep
def test_a_person_works_through_shared_tasks_without_missing_one(project, stock, annotator, annotator2, answer):
    overlap(project, 2)
    stock(30)
    for user in (annotator, annotator2):
        done = [submit(project, user, answer).task_id for _ in range(30)]
        assert done == sorted(set(done))
        assert services.task_next(project=project, user=user) is None
    assert Task.objects.filter(state="in_review").count() == 30


@pytest.mark.parametrize("many", sweep([10], [2_000]))
def test_the_cost_of_next_and_submit_does_not_depend_on_the_number_of_tasks(
    project, stock, annotator, answer, many, django_assert_max_num_queries
):
    stock(many)
    services.task_next(project=project, user=annotator)
    with django_assert_max_num_queries(8):
        held = services.task_next(project=project, user=annotator)
    with django_assert_max_num_queries(20):
        services.annotation_submit(assignment_id=held.pk, user=annotator, result=answer)
    with django_assert_max_num_queries(22):
        services.task_next(project=project, user=annotator)


def test_five_hundred_tasks_held_ahead_cost_nothing(project, stock, annotator, django_assert_max_num_queries):
    tasks = stock(501)
    Task.objects.filter(pk__in=[t.pk for t in tasks[:500]]).update(slots_taken=1, available=False)
    with django_assert_max_num_queries(22):
        assert services.task_next(project=project, user=annotator).task == tasks[500]
    assert Membership.objects.get(user=annotator, project=project).cursor == tasks[500].pk - 1


# -- leases and drafts -------------------------------------------------------------------------------------------------
def test_activity_renews_all_leases_a_person_holds(project, stock, annotator):
    stock(2)
    held = services.task_next(project=project, user=annotator)
    ahead = services.task_peek(project=project, user=annotator, current_id=held.pk)
    Assignment.objects.update(expires_at=timezone.now() + timedelta(seconds=5))
    renewed = services.lease_renew(assignment_id=held.pk, user=annotator)
    assert renewed.expires_at > timezone.now() + timedelta(minutes=14)
    ahead.refresh_from_db()
    assert ahead.expires_at == renewed.expires_at


def test_a_lost_lease_is_taken_up_again_when_the_place_is_free(project, stock, annotator, annotator2):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    expire(held)
    assert services.leases_sweep() == 1
    assert services.leases_sweep() == 0
    services.lease_renew(assignment_id=held.pk, user=annotator)
    held.refresh_from_db()
    assert held.status == "active"
    assert services.task_next(project=project, user=annotator2) is None


def test_leaving_gives_the_place_back_unless_something_was_typed(project, stock, annotator, annotator2, answer):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    stale = held.leased_at - timedelta(seconds=5)
    assert not services.lease_release(assignment_id=held.pk, user=annotator, leased_at=stale)
    assert services.lease_release(assignment_id=held.pk, user=annotator, leased_at=held.leased_at)
    held = services.task_next(project=project, user=annotator2)
    services.draft_save(assignment=held, user=annotator2, draft=answer, version=1)
    assert not services.lease_release(assignment_id=held.pk, user=annotator2)


def test_an_older_draft_never_overwrites_a_newer_one(project, stock, annotator):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    new = services.draft_save(assignment=held, user=annotator, draft=[{"n": "new\x00"}], version=2)
    old = services.draft_save(assignment=held.pk, user=annotator, draft=[{"n": "old"}], version=1)
    assert (new.saved, old.saved, old.version) == (True, False, 2)
    held.refresh_from_db()
    assert held.draft == [{"n": "new"}]


def test_a_draft_is_kept_when_the_lease_is_lost_and_says_so(project, stock, annotator, annotator2, answer):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    expire(held)
    services.task_next(project=project, user=annotator2)
    saved = services.draft_save(assignment=held, user=annotator, draft=answer, version=1)
    assert (saved.saved, saved.held) == (True, False)
    assert "another annotator" in saved.message


def test_anothers_draft_cannot_be_touched(project, stock, annotator, annotator2):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    for act in (
        lambda: services.draft_save(assignment=held, user=annotator2, draft=[], version=9),
        lambda: services.lease_renew(assignment_id=held.pk, user=annotator2),
        lambda: services.lease_release(assignment_id=held.pk, user=annotator2),
        lambda: services.assignment_open(assignment_id=held.pk, user=annotator2),
        lambda: services.task_skip(assignment_id=held.pk, user=annotator2, reason="x"),
        lambda: services.annotation_submit(assignment_id=held.pk, user=annotator2, result=[]),
    ):
        with pytest.raises(NotFound):
            act()


def test_a_draft_has_limits(project, stock, annotator):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    for draft in ({}, [1] * 1_001):
        with pytest.raises(ValidationFailed):
            services.draft_save(assignment=held, user=annotator, draft=draft, version=1)


def test_ones_earlier_task_can_be_opened_again(project, stock, annotator, annotator2, answer):
    first, _second = stock(2)
    held = services.task_next(project=project, user=annotator)
    services.task_skip(assignment_id=held.pk, user=annotator, reason="later")
    opened = services.assignment_open(user=annotator, assignment_id=held.pk)
    assert (opened.status, opened.task) == ("active", first)
    services.annotation_submit(assignment_id=held.pk, user=annotator, result=answer)
    with pytest.raises(Conflict, match="have answered"):
        services.assignment_open(user=annotator, assignment_id=held.pk)


# -- submit, skip, undo ------------------------------------------------------------------------------------------------
def test_a_submit_is_kept_measured_and_ledgered(project, stock, annotator, answer):
    (task,) = stock(1)
    suggestion = Suggestion.objects.get(example=task.example)
    given = submit(project, annotator, answer, lead_time_seconds=12.5, suggestion_id=suggestion.pk)
    task.refresh_from_db()
    assert (task.state, task.submitted_count, given.suggestion_use) == ("in_review", 1, "edited")
    assert 0 < given.edit_distance < 1
    assert (given.suggestion_origin, given.lead_time_seconds) == ("agent", 12.5)
    entry = LedgerEntry.objects.get(action="task.submit")
    assert (entry.actor, entry.object) == (f"user:{annotator.pk}", f"annotation:{given.pk}")
    assert ledger_verify().ok


def test_the_same_submit_again_is_the_same_annotation(project, stock, annotator, answer):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    uid = uuid4()
    first = services.annotation_submit(assignment_id=held.pk, user=annotator, result=answer, submission_id=uid)
    again = services.annotation_submit(assignment_id=held.pk, user=annotator, result=[], submission_id=str(uid))
    assert first == again
    with pytest.raises(Conflict, match="have answered"):
        services.annotation_submit(assignment_id=held.pk, user=annotator, result=answer, submission_id=uuid4())
    assert Annotation.objects.count() == 1


def test_a_submission_id_of_another_answer_is_refused(project, stock, annotator, annotator2, answer):
    stock(2)
    uid = submit(project, annotator, answer).submission_id
    other = services.task_next(project=project, user=annotator2)
    with pytest.raises(Conflict, match="used for another answer"):
        services.annotation_submit(assignment_id=other.pk, user=annotator2, result=answer, submission_id=uid)
    with pytest.raises(ValidationFailed, match="not a UUID"):
        services.annotation_submit(assignment_id=other.pk, user=annotator2, result=answer, submission_id="x")


def test_an_answer_without_a_required_control_is_refused_by_name(project, stock, annotator):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    result = result_build(label_config_of(project), {"reply": "Hello"})
    with pytest.raises(ValidationFailed, match="How good was the agent's reply") as caught:
        services.annotation_submit(assignment_id=held.pk, user=annotator, result=result)
    assert caught.value.field == "quality"


def test_a_suggestion_of_another_example_is_refused(project, stock, annotator, answer):
    _, second = stock(2)
    foreign = Suggestion.objects.get(example=second.example)
    with pytest.raises(ValidationFailed, match="not one of task"):
        submit(project, annotator, answer, suggestion_id=foreign.pk)


def test_a_submit_after_the_lease_ran_out_counts_while_the_place_is_free(project, stock, annotator, answer):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    expire(held)
    services.leases_sweep()
    assert services.annotation_submit(assignment_id=held.pk, user=annotator, result=answer)


def test_a_submit_too_late_is_refused_and_kept_as_a_draft(project, stock, annotator, annotator2, answer):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    expire(held)
    services.task_next(project=project, user=annotator2)
    with pytest.raises(Conflict, match="kept as a draft"):
        services.annotation_submit(assignment_id=held.pk, user=annotator, result=answer)
    held.refresh_from_db()
    assert held.draft[0]["value"] == answer[0]["value"]
    assert Annotation.objects.count() == 0


@pytest.mark.parametrize("seconds", [-1, 10**9, float("inf"), float("nan"), True])
def test_an_impossible_working_time_is_left_out(project, stock, annotator, answer, seconds):
    stock(1)
    assert submit(project, annotator, answer, lead_time_seconds=seconds).lead_time_seconds is None


def test_skipping_takes_a_reason(project, stock, annotator):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    for reason in ("", "  ", "x" * 501):
        with pytest.raises(ValidationFailed):
            services.task_skip(assignment_id=held.pk, user=annotator, reason=reason)
    services.task_skip(assignment_id=held.pk, user=annotator, reason="why")
    assert services.task_skip(assignment_id=held.pk, user=annotator, reason="again").skip_reason == "why"


def test_undo_gives_the_answer_back_as_a_draft(project, stock, annotator, answer):
    (task, _) = stock(2)
    given = submit(project, annotator, answer)
    back = services.annotation_undo(project=project, user=annotator)
    given.refresh_from_db()
    task.refresh_from_db()
    assert (given.state, task.state, back.task_id, back.draft) == ("undone", "open", task.pk, given.result)
    assert services.task_next(project=project, user=annotator).pk == back.pk
    with pytest.raises(NotFound):
        services.annotation_undo(project=project, user=annotator)
    assert services.annotation_submit(assignment_id=back.pk, user=annotator, result=answer).state == "submitted"


def test_a_reviewed_answer_cannot_be_undone(project, stock, annotator, reviewer, answer):
    stock(1)
    given = submit(project, annotator, answer)
    services.review_settle(annotation_id=given.pk, reviewer=reviewer, decision="accept")
    with pytest.raises(Conflict, match="can no longer be undone"):
        services.annotation_undo(project=project, user=annotator)


# -- people who leave, projects that are paused ------------------------------------------------------------------------
def test_who_is_taken_out_of_the_project_keeps_their_draft_and_no_lease(project, stock, annotator, annotator2, lead, answer):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    services.membership_remove(project=project, user=annotator, role="annotator", by=lead)
    saved = services.draft_save(assignment=held, user=annotator, draft=answer, version=5)
    assert (saved.saved, saved.held) == (True, False)
    assert "annotating is for the annotators and leads" in saved.message
    with pytest.raises(Forbidden, match="annotating is for the annotators and leads"):
        services.lease_renew(assignment_id=held.pk, user=annotator)
    assert Assignment.objects.get().expires_at == held.expires_at
    expire(held)
    assert services.task_next(project=project, user=annotator2).task == held.task


def test_in_a_paused_project_a_lease_lasts_on_and_a_lost_one_is_not_taken_anew(project, stock, annotator, lead, answer):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    project = services.project_archive(project=project, by=lead, archived=True)
    assert services.lease_renew(assignment_id=held.pk, user=annotator).expires_at > held.expires_at
    expire(held)
    services.leases_sweep()
    with pytest.raises(Conflict) as caught:
        services.lease_renew(assignment_id=held.pk, user=annotator)
    assert caught.value.code == "paused"
    # No one else can have it meanwhile, so work that is done already counts.
    assert services.annotation_submit(assignment_id=held.pk, user=annotator, result=answer).state == "submitted"


def test_a_blank_suggestion_is_none(project, stock, annotator):
    task = stock(1, messages=[MESSAGES[0], MESSAGES[0] | {"role": "agent", "text": " \n"}])[0]
    task.example.suggestions.create(origin="model", origin_name="m1", text=" ")
    assert suggestions_of(task.example) == []
