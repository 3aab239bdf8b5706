"""The ledger on an example's lineage page: its own withdrawal, taint and judgement, although these are acts on many."""

from __future__ import annotations

import pytest
from django.utils import timezone

from annotation.models import Membership, Project, Task
from annotation.services import tasks_withdraw
from flywheel.audit.models import LedgerEntry
from flywheel.core.models import User
from flywheel.dashboard.lineage import lineage_of
from flywheel.work.jobs import jobs_drain
from provenance.models import Subject
from provenance.services import consent_withdraw
from tests.conftest import make_user
from tests.flywheel.dashboard.conftest import Turn

pytestmark = pytest.mark.django_db(transaction=True)


def actions(turn: Turn, user: User) -> list[str]:
    return [entry.action for entry in lineage_of(turn.taught, user=user).entries]


def test_a_withdrawal_is_in_the_lineage_of_each_example_that_it_reached(turn: Turn, steward: User) -> None:
    person = Subject.objects.create(namespace="acme", external_ref="c1")
    turn.taught.provenance.subjects.add(person)
    consent_withdraw(subject=person, by=steward)
    jobs_drain()
    assert {
        "consent.withdraw", "gate.judge", "snapshot.taint", "model.retrain_required", "task.withdraw", "example.withdraw",
        "withdrawal.complete",
    } <= set(actions(turn, steward))
    reached = set(actions(turn, steward))
    untouched = {entry.action for entry in lineage_of(turn.waiting, user=steward).entries}
    assert "example.withdraw" not in untouched, reached


def test_what_another_project_does_with_an_example_is_not_shown(turn: Turn, steward: User) -> None:
    other = Project.objects.create(name="Other", slug="other", label_config=turn.project.label_config)
    task = Task.objects.create(project=other, example=turn.taught, created_at=timezone.now())
    lead = make_user("another lead", "lead")
    Membership.objects.create(project=turn.project, user=lead, role="lead")
    tasks_withdraw(record_ids=[turn.taught.provenance_id])
    assert LedgerEntry.objects.filter(action="task.withdraw", subjects__ident=str(task.pk)).exists()
    assert "task.withdraw" in actions(turn, steward)
    # The withdrawal of both tasks is one entry, and it is about this lead's task too.
    assert "task.withdraw" in actions(turn, lead)
    stranger = make_user("lead of nothing", "lead")
    assert "task.withdraw" not in actions(turn, stranger)
