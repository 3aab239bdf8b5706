"""Flags: raised from the workbench or in review, decided by reviewers and leads, taken back by who raised them."""

from __future__ import annotations

import pytest

from annotation import selectors, services
from annotation.models import Assignment, Flag, Task
from annotation.stats import project_numbers
from flywheel.audit.ledger import ledger_verify
from flywheel.audit.models import LedgerEntry
from flywheel.core.errors import Conflict, Forbidden, NotFound, ValidationFailed
from flywheel.datasets.selectors import settled_chunks
from flywheel.stats.registry import stats_refresh
from tests.annotation.test_services import expire, overlap, submit

pytestmark = pytest.mark.django_db


def flag(task, user, reason="personal_data", comment="a number in line 2"):
    return services.task_flag(task_id=task.pk, user=user, reason=reason, comment=comment)


def decide(raised, by, decision="return", note=""):
    return services.flag_resolve(flag_id=raised.pk, by=by, decision=decision, note=note)


@pytest.fixture
def flagged(project, stock, annotator, answer):
    """A task that ann held with a draft and flagged; a second task waits."""
    task, _ = stock(2)
    held = services.task_next(project=project, user=annotator)
    services.draft_save(assignment=held, user=annotator, draft=answer, version=1)
    return task, flag(task, annotator)


# -- raising -----------------------------------------------------------------------------------------------------------
def test_a_flagged_task_leaves_its_annotator_and_goes_to_nobody(project, flagged, annotator, annotator2, answer):
    task, raised = flagged
    task.refresh_from_db()
    assert (task.state, task.slots_taken, task.available) == ("flagged", 0, False)
    held = Assignment.objects.get(task=task)
    assert (held.status, held.draft) == ("flagged", answer)
    other = services.task_next(project=project, user=annotator)
    assert other.task_id != task.pk
    assert services.task_next(project=project, user=annotator2) is None
    entry = LedgerEntry.objects.get(action="task.flag")
    assert (entry.actor, entry.object, entry.payload["reason"]) == (
        f"user:{annotator.pk}", f"task:{task.pk}", "personal_data")
    assert raised.comment not in str(entry.payload)
    assert ledger_verify().ok


def test_flagging_again_changes_nothing(flagged, annotator):
    task, raised = flagged
    again = flag(task, annotator, reason="unsafe")
    assert (again.pk, again.reason) == (raised.pk, "personal_data")
    assert LedgerEntry.objects.filter(action="task.flag").count() == 1


@pytest.mark.parametrize(("reason", "comment", "field"), [
    ("", "", "reason"), ("nonsense", "", "reason"), ("x" * 5_000, "", "reason"), ("other", "", "comment"),
    ("other", " \x00 ", "comment"), ("unsafe", "x" * 2_001, "comment"),
])
def test_a_flag_takes_a_known_reason_and_a_comment_of_reasonable_length(project, stock, annotator, reason, comment, field):
    stock(1)
    held = services.task_next(project=project, user=annotator)
    with pytest.raises(ValidationFailed) as caught:
        flag(held.task, annotator, reason=reason, comment=comment)
    assert caught.value.field == field
    assert not Flag.objects.exists()


def test_who_has_nothing_to_do_with_the_task_cannot_flag_it(project, stock, annotator, annotator2, stranger, admin):
    (task,) = stock(1)
    services.task_next(project=project, user=annotator)
    for user in (annotator2, stranger, admin):
        with pytest.raises(NotFound):
            flag(task, user)
    annotator.is_active = False
    with pytest.raises(NotFound):
        flag(task, annotator)
    with pytest.raises(NotFound):
        services.task_flag(task_id=10**15, user=stranger, reason="unsafe")


def test_an_answered_task_is_flagged_with_its_answer_kept(project, stock, annotator, reviewer, answer):
    (task,) = stock(1)
    given = submit(project, annotator, answer)
    raised = flag(task, annotator)
    with pytest.raises(Conflict, match="no longer waits"):
        services.review_settle(annotation_id=given.pk, reviewer=reviewer, decision="accept")
    decide(raised, reviewer)
    task.refresh_from_db()
    assert (task.state, task.submitted_count) == ("in_review", 1)
    assert services.review_settle(annotation_id=given.pk, reviewer=reviewer, decision="accept")


def test_who_else_holds_the_task_may_finish_and_the_answer_counts(project, stock, annotator, annotator2, answer, lead):
    overlap(project, 2)
    (task,) = stock(1)
    services.task_next(project=project, user=annotator)
    other = services.task_next(project=project, user=annotator2)
    raised = flag(task, annotator)
    services.annotation_submit(assignment_id=other.pk, user=annotator2, result=answer)
    task.refresh_from_db()
    assert (task.state, task.submitted_count) == ("flagged", 1)
    services.work_undo(project=project, user=annotator2)
    task.refresh_from_db()
    assert (task.state, task.submitted_count) == ("flagged", 0)
    services.annotation_submit(assignment_id=other.pk, user=annotator2, result=answer)
    decide(raised, lead)
    task.refresh_from_db()
    assert (task.state, task.slots_taken, task.available) == ("open", 1, True)


def test_a_lost_place_on_a_flagged_task_is_not_taken_again_and_the_answer_is_kept(
    project, stock, annotator, annotator2, answer
):
    overlap(project, 2)
    (task,) = stock(1)
    services.task_next(project=project, user=annotator)
    other = services.task_next(project=project, user=annotator2)
    flag(task, annotator)
    expire(other)
    services.leases_sweep()
    with pytest.raises(Conflict, match="flagged and waits") as caught:
        services.annotation_submit(assignment_id=other.pk, user=annotator2, result=answer)
    assert caught.value.code == "flagged"
    other.refresh_from_db()
    assert other.draft[0]["value"] == answer[0]["value"]
    assert services.draft_save(assignment=other, user=annotator2, draft=answer, version=99).held is False


# -- deciding ----------------------------------------------------------------------------------------------------------
def test_back_to_work_with_a_note_for_whoever_gets_it(project, flagged, annotator, annotator2, reviewer, answer):
    task, raised = flagged
    done = decide(raised, reviewer, note="Leave the number out.")
    assert (done.state, done.resolved_by) == ("returned", reviewer)
    again = services.task_next(project=project, user=annotator)
    assert (again.task, again.draft) == (task, answer)
    assert selectors.flag_returned_of(task).note == "Leave the number out."
    assert LedgerEntry.objects.get(action="flag.return").payload["flags"] == [raised.pk]
    with pytest.raises(Conflict, match="is decided: returned to work by rex"):
        decide(raised, reviewer, "close")
    with pytest.raises(Conflict, match="can no longer be taken back"):
        services.work_undo(project=project, user=annotator)


def test_a_closed_task_is_worked_on_by_nobody_until_it_is_opened_again(
    project, stock, annotator, annotator2, lead, answer
):
    overlap(project, 2)
    (task,) = stock(1)
    services.task_next(project=project, user=annotator)
    other = services.task_next(project=project, user=annotator2)
    services.draft_save(assignment=other, user=annotator2, draft=answer, version=1)
    decide(flag(task, annotator), lead, "close")
    task.refresh_from_db()
    assert (task.state, task.slots_taken) == ("closed", 0)
    with pytest.raises(Conflict, match="closed after a flag") as caught:
        services.annotation_submit(assignment_id=other.pk, user=annotator2, result=answer)
    assert caught.value.code == "closed"
    with pytest.raises(Conflict, match="it is not worked on any more"):
        flag(task, annotator2)
    for user in (annotator, annotator2):
        assert services.task_next(project=project, user=user) is None
    assert services.task_reopen(task_id=task.pk, by=lead).state == "open"
    assert services.task_reopen(task_id=task.pk, by=lead).state == "open"
    assert LedgerEntry.objects.filter(action="task.reopen").count() == 1
    assert services.task_next(project=project, user=annotator2).draft[0]["value"] == answer[0]["value"]


def test_only_reviewers_and_leads_decide(flagged, annotator, annotator2, stranger, admin):
    task, raised = flagged
    for user, error in ((annotator, Forbidden), (annotator2, Forbidden), (stranger, NotFound), (admin, Forbidden)):
        with pytest.raises(error):
            decide(raised, user)
        with pytest.raises(error):
            services.task_reopen(task_id=task.pk, by=user)
    raised.refresh_from_db()
    assert raised.state == "open"


@pytest.mark.parametrize(("fault", "field"), [({"decision": "x"}, "decision"), ({"note": "n" * 2_001}, "note")])
def test_a_faulty_decision_is_refused_by_field(flagged, lead, fault, field):
    with pytest.raises(ValidationFailed) as caught:
        services.flag_resolve(**{"flag_id": flagged[1].pk, "by": lead, "decision": "return"} | fault)
    assert caught.value.field == field


def test_one_decision_resolves_every_flag_on_the_task(project, flagged, lead, reviewer):
    task, first = flagged
    second = flag(task, reviewer, reason="unsafe")
    decide(second, lead)
    assert set(Flag.objects.values_list("state", flat=True)) == {"returned"}
    with pytest.raises(Conflict, match="is decided"):
        decide(first, lead)


def test_a_flagged_task_is_left_out_of_snapshots_although_it_was_settled(project, stock, annotator, reviewer, answer):
    (task,) = stock(1)
    given = submit(project, annotator, answer)
    services.review_settle(annotation_id=given.pk, reviewer=reviewer, decision="accept")
    raised = flag(task, annotator)
    assert list(settled_chunks(project)) == []
    task.refresh_from_db()
    assert [reason.rule for reason in selectors.quality_reasons(task)] == ["task_flagged"]
    decide(raised, reviewer)
    assert [row.annotation_id for rows in settled_chunks(project) for row in rows] == [given.pk]
    decide(flag(task, reviewer), reviewer, "close")
    task.refresh_from_db()
    assert [reason.rule for reason in selectors.quality_reasons(task)] == ["task_closed"]
    assert services.task_reopen(task_id=task.pk, by=reviewer).state == "settled"


def test_withdrawing_a_task_ends_its_flags(flagged, lead):
    task, raised = flagged
    services.tasks_withdraw(record_ids=[task.example.provenance_id])
    raised.refresh_from_db()
    assert raised.state == "withdrawn"
    with pytest.raises(Conflict):
        decide(raised, lead)
    with pytest.raises(Conflict, match="not closed"):
        services.task_reopen(task_id=task.pk, by=lead)


# -- undo --------------------------------------------------------------------------------------------------------------
def test_undo_takes_a_flag_back_and_the_draft_is_there(project, flagged, annotator, answer):
    task, raised = flagged
    undone = services.work_undo(project=project, user=annotator)
    assert (undone.kind, undone.assignment.task_id, undone.assignment.draft) == ("flag", task.pk, answer)
    raised.refresh_from_db()
    task.refresh_from_db()
    assert (raised.state, task.state, task.slots_taken) == ("undone", "open", 1)
    assert services.task_next(project=project, user=annotator).pk == undone.assignment.pk
    with pytest.raises(NotFound, match="no answer"):
        services.work_undo(project=project, user=annotator)


def test_undo_takes_back_whichever_came_last(project, stock, annotator, answer):
    first, second, _ = stock(3)
    submit(project, annotator, answer)
    services.task_next(project=project, user=annotator)
    flag(second, annotator)
    assert services.work_undo(project=project, user=annotator).kind == "flag"
    undone = services.work_undo(project=project, user=annotator)
    assert (undone.kind, undone.assignment.task) == ("answer", first)


def test_undo_while_another_has_flagged_it_too_leaves_it_waiting(project, flagged, annotator, reviewer):
    task, _ = flagged
    flag(task, reviewer)
    undone = services.work_undo(project=project, user=annotator)
    assert (undone.assignment, "flagged it too" in undone.message) == (None, True)
    task.refresh_from_db()
    assert (task.state, task.slots_taken) == ("flagged", 0)


def test_undo_of_a_flag_on_an_answered_task_leaves_the_answer(project, stock, annotator, answer):
    (task,) = stock(1)
    submit(project, annotator, answer)
    flag(task, annotator)
    undone = services.work_undo(project=project, user=annotator)
    assert (undone.kind, undone.assignment, "answers are kept" in undone.message) == ("flag", None, True)
    task.refresh_from_db()
    assert task.state == "in_review"


# -- reading -----------------------------------------------------------------------------------------------------------
def test_open_flags_are_counted(project, flagged, lead):
    stats_refresh(due_only=False)
    assert project_numbers(project).now["flags_open"] == 1
    decide(flagged[1], lead, "close")
    stats_refresh(due_only=False)
    numbers = project_numbers(project).now
    assert (numbers["flags_open"], numbers["tasks_closed"], numbers["tasks_flagged"]) == (0, 1, 0)


def test_the_list_is_filtered_by_state_and_reason(project, stock, annotator, lead):
    stock(3)
    for reason in ("unsafe", "guidelines", "unsafe"):
        held = services.task_next(project=project, user=annotator)
        raised = flag(held.task, annotator, reason=reason)
    decide(raised, lead)
    listed = selectors.flags_listed
    assert listed(project=project).count() == 3
    assert [f.reason for f in listed(project=project, state="open").order_by("pk")] == ["unsafe", "guidelines"]
    assert listed(project=project, state="open", reason="unsafe").count() == 1
    assert Task.objects.filter(state="flagged").count() == 2
