"""The agent's and models' replies as suggestions: made with the tasks, always of the newest delivery, withdrawn once."""

from __future__ import annotations

import pytest

from annotation import services
from annotation.models import Suggestion
from annotation.selectors import suggestions_of
from flywheel.audit.models import LedgerEntry
from flywheel.capture import services as capture
from flywheel.capture.models import Example
from tests.conftest import TESTER
from tests.flywheel.capture.conftest import ticket

pytestmark = pytest.mark.django_db


def deliver(source, *texts, version):
    list(capture.capture_bulk(source=source, lines=[ticket("T-1", *texts, version=version)], by=source.owner))
    capture.process_captures()


def shown() -> list[tuple[str, str]]:
    return [(one.origin, one.reply) for one in suggestions_of(Example.objects.get())]


def test_a_task_comes_with_the_agents_reply_once_in_all_projects(project, source, lead):
    deliver(source, "I am Cora at cora@example.com", "Dear cora@example.com, done.", version="1")
    assert shown() == []
    other = services.project_create(by=lead, name="Other", label_config=project.label_config, sources=[source])
    for one in (project, other):
        assert services.tasks_make(project=one) == 1
    assert shown() == [("agent", "Dear <EMAIL_1>, done.")]
    assert Suggestion.objects.count() == 1


def test_the_agents_reply_follows_newer_deliveries(project, source):
    deliver(source, "Question", "New answer", version="2")
    services.tasks_make(project=project)
    row = Suggestion.objects.get()
    deliver(source, "Question", "Old answer", version="1")
    assert shown() == [("agent", "New answer")]
    deliver(source, "Question", "Newest answer", "But wait", version="3")
    assert shown() == []
    deliver(source, "Question", "Last answer", version="4")
    assert shown() == [("agent", "Last answer")]
    assert Suggestion.objects.get() == row, "answers that refer to the row keep it"


def test_an_example_that_gets_a_reply_later_is_suggested_it(project, source):
    deliver(source, "Question", version="1")
    services.tasks_make(project=project)
    assert shown() == []
    deliver(source, "Question", "Answer", version="2")
    assert shown() == [("agent", "Answer")]


def test_a_withdrawn_suggestion_stays_withdrawn_and_is_ledgered_once(project, stock):
    (task,) = stock(1)
    services.model_suggestions_add(model_name="m1", texts={task.example_id: "Hello"})
    records = [task.example.provenance_id]
    for _ in range(2):
        assert services.suggestions_withdraw(model_names=["m1"], record_ids=records, actor=TESTER) == 2
    assert suggestions_of(task.example) == []
    assert LedgerEntry.objects.filter(action="suggestion.withdraw").count() == 2
    services.agent_suggestions_ensure(example_ids=[task.example_id])
    assert suggestions_of(task.example) == []
