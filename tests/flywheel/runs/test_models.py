"""Promotion, suggestions onto open tasks, and what a withdrawal takes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from annotation.models import Task
from flywheel.capture.models import Example, Suggestion
from flywheel.core.errors import Conflict, Invalid, Refused
from flywheel.core.models import User
from flywheel.core.outbox import outbox_drain
from flywheel.curation.models import Snapshot
from flywheel.runs import services
from flywheel.runs.models import Budget, ModelVersion, SuggestionBatch, TrainingRun
from provenance.ledger import ledger_verify
from provenance.models import LedgerEntry, ProvenanceRecord, Subject, Withdrawal
from provenance.services import consent_withdraw
from tests.flywheel.runs import builders
from tests.flywheel.runs.builders import Messages
from tests.flywheel.runs.conftest import upload

pytestmark = pytest.mark.django_db
Trained = Callable[..., ModelVersion]
WORSE = {"split": "test", "rows": 40, "tokens": 400, "base_loss": 2.0, "tuned_loss": 2.5, "samples": []}


# -- promotion -------------------------------------------------------------------------------------------------------
def test_a_better_model_becomes_champion_and_the_one_before_retires(
    model: ModelVersion, trained: Trained, admin: User, lead: User
) -> None:
    first = services.model_promote(model=model, by=admin)
    assert (first.status, first.override_reason) == ("champion", "")
    second = trained(builders.requested(lead, of=model.run.snapshot, where=model.project))
    services.model_promote(model=second, by=admin)
    first.refresh_from_db()
    assert first.status == "retired"
    entry = LedgerEntry.objects.filter(action="model.promote").order_by("-seq")[0]
    assert entry.payload["retired"] == first.name


def test_promoting_the_champion_again_changes_nothing(model: ModelVersion, admin: User) -> None:
    services.model_promote(model=model, by=admin)
    entries = LedgerEntry.objects.count()
    services.model_promote(model=model, by=admin)
    assert LedgerEntry.objects.count() == entries


def test_a_worse_model_needs_a_written_reason_that_is_ledgered(run: TrainingRun, trained: Trained, admin: User) -> None:
    model = trained(run, evaluation=WORSE)
    with pytest.raises(Conflict, match="not better"):
        services.model_promote(model=model, by=admin)
    with pytest.raises(Invalid, match="at least 10"):
        services.model_promote(model=model, by=admin, override_reason="because")
    reason = "Its replies are shorter, which is what we want."
    assert services.model_promote(model=model, by=admin, override_reason=reason).override_reason == reason
    assert LedgerEntry.objects.get(action="model.promote").payload["override_reason"] == reason


def test_a_model_without_evaluation_needs_a_reason(run: TrainingRun, trained: Trained, admin: User) -> None:
    with pytest.raises(Conflict, match="not evaluated"):
        services.model_promote(model=trained(run, evaluation={}), by=admin)


def test_a_reason_is_not_kept_when_none_was_needed(model: ModelVersion, admin: User) -> None:
    assert services.model_promote(model=model, by=admin, override_reason="just to be sure").override_reason == ""


def test_no_reason_promotes_a_model_of_withdrawn_rows(model: ModelVersion, admin: User) -> None:
    Snapshot.objects.update(status="tainted")
    with pytest.raises(Conflict, match="no reason overrides"):
        services.model_promote(model=model, by=admin, override_reason="We really want it anyway.")


def test_only_an_admin_promotes(model: ModelVersion, lead: User, steward: User, stranger: User) -> None:
    for person in (lead, steward, stranger):
        with pytest.raises(Refused):
            services.model_promote(model=model, by=person)


# -- suggestions -----------------------------------------------------------------------------------------------------
@pytest.fixture
def champion(model: ModelVersion, admin: User) -> ModelVersion:
    return services.model_promote(model=model, by=admin)


def answer(batch: SuggestionBatch, messages: Messages, text: str = "On its way.") -> SuggestionBatch:
    """What a worker does with a batch."""
    token = messages.token_of(batch)
    services.run_lease(run=batch, token=token, worker="a")
    batch.refresh_from_db()
    with open_stored(batch.prompts_path) as file:
        lines = [json.loads(line) for line in file]
    body = "".join(json.dumps({"id": p["id"], "text": text}) + "\n" for p in lines)
    upload(batch, token, "suggestions.jsonl", body.encode())
    return services.suggestions_complete(batch=batch, token=token)


def open_stored(path: str) -> Any:
    from django.core.files.storage import default_storage

    return default_storage.open(path)


def test_open_tasks_get_the_champions_suggestion_once(
    champion: ModelVersion, admin: User, lead: User, messages: Messages
) -> None:
    tasks = builders.tasks(champion.project, builders.source(lead), 3)
    Task.objects.filter(pk=tasks[0].pk).update(submitted_count=1, slots_taken=1, available=False)
    batch = services.suggestions_publish(model=champion, by=admin)
    assert batch is not None
    done = answer(batch, messages)
    assert (done.status, done.total, done.done) == ("done", 2, 2)
    made = Suggestion.objects.filter(origin_name=champion.name)
    assert set(made.values_list("example_id", flat=True)) == {tasks[1].example_id, tasks[2].example_id}
    assert Budget.objects.get().reserved == 0
    assert services.suggestions_publish(model=champion, by=admin) is None


def test_two_clicks_make_one_batch(champion: ModelVersion, admin: User, lead: User) -> None:
    builders.tasks(champion.project, builders.source(lead), 1)
    first = services.suggestions_publish(model=champion, by=admin)
    assert services.suggestions_publish(model=champion, by=admin) == first


def test_tasks_that_come_later_get_theirs_by_themselves(
    champion: ModelVersion, admin: User, lead: User, messages: Messages
) -> None:
    source = builders.source(lead)
    builders.tasks(champion.project, source, 3)
    assert services.suggestions_continue() == 0, "nobody asked to publish yet"
    first = services.suggestions_publish(model=champion, by=admin, limit=2)
    assert first is not None
    assert first.total == 2
    assert services.suggestions_continue() == 0, "one batch at a time"
    answer(first, messages)
    assert services.suggestions_continue() == 1
    second = SuggestionBatch.objects.latest("pk")
    assert (second.total, second.after_task_id) == (1, first.last_task_id)
    answer(second, messages)
    assert services.suggestions_continue() == 0
    builders.tasks(champion.project, source, 1)
    assert services.suggestions_continue() == 1


def test_a_conversation_that_ends_in_the_agents_turn_is_not_asked_about(
    champion: ModelVersion, admin: User, lead: User, messages: Messages
) -> None:
    example = builders.example(builders.source(lead), context_length=2)
    Task.objects.create(project=champion.project, example=example)
    batch = services.suggestions_publish(model=champion, by=admin)
    assert batch is not None
    outbox_drain()
    batch.refresh_from_db()
    assert (batch.status, batch.total) == ("done", 0)
    assert all(m["kind"] == "run" for m in messages.sent)


def test_an_example_withdrawn_meanwhile_gets_no_suggestion(
    champion: ModelVersion, admin: User, lead: User, messages: Messages
) -> None:
    tasks = builders.tasks(champion.project, builders.source(lead), 2)
    batch = services.suggestions_publish(model=champion, by=admin)
    assert batch is not None
    messages.token_of(batch)
    Example.objects.filter(pk=tasks[0].example_id).update(status="withdrawn")
    answer(batch, messages)
    assert Suggestion.objects.filter(origin_name=champion.name).count() == 1


def test_what_a_retired_model_answers_is_not_shown(
    champion: ModelVersion, admin: User, lead: User, messages: Messages
) -> None:
    builders.tasks(champion.project, builders.source(lead), 1)
    batch = services.suggestions_publish(model=champion, by=admin)
    assert batch is not None
    ModelVersion.objects.update(status="retired")
    assert answer(batch, messages).status == "cancelled"
    assert Suggestion.objects.count() == 0


def test_only_the_champion_suggests_and_only_admins_and_leads_ask(
    model: ModelVersion, admin: User, annotator: User, stranger: User
) -> None:
    with pytest.raises(Conflict, match="only the champion"):
        services.suggestions_publish(model=model, by=admin)
    for person in (annotator, stranger):
        with pytest.raises(Refused):
            services.suggestions_publish(model=model, by=person)


def test_a_used_up_budget_publishes_nothing(champion: ModelVersion, admin: User, lead: User) -> None:
    builders.tasks(champion.project, builders.source(lead), 1)
    builders.budget(admin, cap="0")
    with pytest.raises(Conflict, match="are left"):
        services.suggestions_publish(model=champion, by=admin)
    assert SuggestionBatch.objects.count() == 0


# -- withdrawal ------------------------------------------------------------------------------------------------------
@pytest.fixture
def withdrawal(champion: ModelVersion, admin: User, lead: User, messages: Messages) -> Withdrawal:
    """Of the person behind one row of the champion's snapshot, while another run on it waits and a batch is queued."""
    example = champion.run.snapshot.rows.get(leaf_index=0).example
    Task.objects.create(project=champion.project, example=example)
    builders.tasks(champion.project, builders.source(lead), 2)
    answer(services.suggestions_publish(model=champion, by=admin, limit=1), messages)  # type: ignore[arg-type]
    services.suggestions_publish(model=champion, by=admin)
    builders.requested(lead, of=champion.run.snapshot, where=champion.project)
    subject = Subject.objects.create(namespace="n", external_ref="c")
    example.provenance.subjects.add(subject)
    return consent_withdraw(subject=subject, by=admin, reason="asked to")


def test_a_withdrawal_stops_runs_retires_models_and_takes_suggestions_back(
    withdrawal: Withdrawal, champion: ModelVersion
) -> None:
    outbox_drain()
    withdrawal.refresh_from_db()
    champion.refresh_from_db()
    assert withdrawal.completed_at is not None
    assert champion.status == "retrain_required"
    assert Snapshot.objects.get().status == "tainted"
    assert sorted(TrainingRun.objects.values_list("status", flat=True)) == ["cancelled", "done"]
    assert sorted(SuggestionBatch.objects.values_list("status", flat=True)) == ["cancelled", "done"]
    assert not Suggestion.objects.filter(withdrawn_at=None).exists()
    assert withdrawal.receipt["models"] == {"models": [champion.name]}
    assert len(withdrawal.receipt["runs"]["runs"]) == 2
    assert withdrawal.receipt["suggestions"] == {"suggestions": 1}
    assert len(withdrawal.receipt["tasks"]["tasks"]) == 1
    assert len(withdrawal.receipt["examples"]["examples"]) == 1
    assert Budget.objects.get().reserved == 0
    assert ledger_verify().ok


@pytest.mark.parametrize("survived", range(1, 8))
def test_a_walk_that_is_killed_anywhere_gives_the_same_receipt(survived: int, withdrawal: Withdrawal) -> None:
    steps = 0

    def die() -> None:
        nonlocal steps
        steps += 1
        if steps == survived:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        services.withdrawal_walk(withdrawal_uid=str(withdrawal.uid), alive=die)
    done = services.withdrawal_walk(withdrawal_uid=str(withdrawal.uid))
    assert set(done.receipt) == {"records", "runs", "models", "snapshots", "suggestions", "tasks", "examples"}
    assert done.receipt["models"]["models"]
    assert done.receipt["suggestions"] == {"suggestions": 1}
    entries = LedgerEntry.objects.count()
    services.withdrawal_walk(withdrawal_uid=str(withdrawal.uid))
    assert LedgerEntry.objects.count() == entries


def test_a_withdrawal_for_another_purpose_leaves_models_and_tasks_alone(champion: ModelVersion, admin: User) -> None:
    example = champion.run.snapshot.rows.get(leaf_index=0).example
    ProvenanceRecord.objects.filter(pk=example.provenance_id).update(intended_purposes=["sft", "evaluation"])
    Task.objects.create(project=champion.project, example=example)
    subject = Subject.objects.create(namespace="n", external_ref="c")
    example.provenance.subjects.add(subject)
    withdrawn = consent_withdraw(subject=subject, by=admin, purposes=["evaluation"])
    services.withdrawal_walk(withdrawal_uid=str(withdrawn.uid))
    champion.refresh_from_db()
    assert champion.status == "champion"
    assert not Task.objects.filter(state="withdrawn").exists()


def test_a_model_that_is_finished_on_a_tainted_snapshot_needs_retraining(
    run: TrainingRun, admin: User, messages: Messages
) -> None:
    from tests.flywheel.runs.conftest import upload_model

    approved = services.run_approve(run=run, by=admin)
    token = messages.token_of(approved)
    services.run_lease(run=approved, token=token, worker="a")
    approved.refresh_from_db()
    upload_model(approved, token)
    Snapshot.objects.update(status="tainted")
    services.run_complete(run=approved, token=token, result=builders.result_of(approved))
    assert ModelVersion.objects.get().status == "retrain_required"
