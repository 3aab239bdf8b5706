"""What a withdrawal of consent takes back: runs, models, suggestions, tasks; and what stays blocked afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from annotation.models import Suggestion, Task
from flywheel.audit.ledger import ledger_verify
from flywheel.audit.models import LedgerEntry
from flywheel.capture.models import Example
from flywheel.core.errors import Conflict, Forbidden, ValidationFailed
from flywheel.core.models import User
from flywheel.datasets.models import Snapshot
from flywheel.datasets.services import snapshots_withdraw
from flywheel.runs import services
from flywheel.runs.models import Budget, ModelVersion, SuggestionBatch, TrainingRun
from flywheel.runs.services.leases import LeaseLost
from flywheel.work.jobs import jobs_drain
from provenance.models import ProvenanceRecord, Subject, Withdrawal
from provenance.services import consent_import, consent_withdraw
from tests.conftest import TESTER
from tests.flywheel.runs import builders
from tests.flywheel.runs.builders import Messages
from tests.flywheel.runs.conftest import answer, upload_model

pytestmark = pytest.mark.django_db
Trained = Callable[..., ModelVersion]
ClientOf = Callable[[User], Client]


@pytest.fixture
def withdrawal(champion: ModelVersion, admin: User, lead: User, messages: Messages) -> Withdrawal:
    """Of the person behind one row of the champion's snapshot, while another run on it waits and a batch is queued."""
    example = champion.run.snapshot.rows.get(leaf_index=0).example
    Task.objects.create(project=champion.project, example=example)
    builders.tasks(champion.project, builders.source(lead), 2)
    answer(services.suggestions_publish(model=champion, by=admin, limit=1), messages)  # type: ignore[arg-type]
    services.suggestions_publish(model=champion, by=admin)
    builders.requested(lead, of=champion.run.snapshot, where=champion.project)
    return consent_withdraw(subject=builders.person_in(champion.run.snapshot), by=admin, reason="asked to")


# -- the walk --------------------------------------------------------------------------------------------------------
def test_a_withdrawal_stops_runs_retires_models_and_takes_suggestions_back(
    withdrawal: Withdrawal, champion: ModelVersion
) -> None:
    jobs_drain()
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


@pytest.mark.parametrize("survived", range(1, 10))
def test_a_walk_that_is_killed_anywhere_gives_the_same_receipt(survived: int, withdrawal: Withdrawal) -> None:
    steps = 0

    def die(done: int) -> None:
        nonlocal steps
        steps += 1
        if steps == survived:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        services.withdrawal_walk(withdrawal_uid=str(withdrawal.uid), heartbeat=die)
    done = services.withdrawal_walk(withdrawal_uid=str(withdrawal.uid))
    assert set(done.receipt) == {"records", "runs", "models", "snapshots", "suggestions", "tasks", "examples"}
    assert done.receipt["models"]["models"]
    assert done.receipt["suggestions"] == {"suggestions": 1}
    entries = LedgerEntry.objects.count()
    services.withdrawal_walk(withdrawal_uid=str(withdrawal.uid))
    assert LedgerEntry.objects.count() == entries


def consent(subject: Subject, *purposes: str, state: str = "ConsentGiven", at: str = "2026-01-01T00:00:00Z") -> None:
    consent_import(by=TESTER, rows=[{
        "namespace": subject.namespace, "subject_ref": subject.external_ref, "purposes": list(purposes),
        "record_id": f"{subject.external_ref}-{'-'.join(purposes)}",
        "events": [{"event_time": at, "event_state": state}],
    }])


def test_a_withdrawal_for_another_purpose_leaves_models_and_tasks_alone(champion: ModelVersion, admin: User) -> None:
    example = champion.run.snapshot.rows.get(leaf_index=0).example
    ProvenanceRecord.objects.filter(pk=example.provenance_id).update(intended_purposes=["sft", "evaluation"])
    Task.objects.create(project=champion.project, example=example)
    subject = builders.person_in(champion.run.snapshot)
    consent(subject, "sft")
    withdrawn = consent_withdraw(subject=subject, by=admin, purposes=["evaluation"])
    services.withdrawal_walk(withdrawal_uid=str(withdrawn.uid))
    champion.refresh_from_db()
    assert champion.status == "champion"
    assert not Task.objects.filter(state="withdrawn").exists()


def test_a_model_that_is_finished_on_a_tainted_snapshot_needs_retraining(
    run: TrainingRun, admin: User, messages: Messages
) -> None:
    approved = services.run_approve(run=run, by=admin)
    token = messages.token_of(approved)
    services.job_lease(job=approved, token=token, worker="a")
    approved.refresh_from_db()
    upload_model(approved, token)
    Snapshot.objects.update(status="tainted")
    services.run_complete(run=approved, token=token, result=builders.result_of(approved))
    assert ModelVersion.objects.get().status == "retrain_required"


def test_nothing_is_left_once_what_was_consented_to_is_withdrawn(champion: ModelVersion, admin: User) -> None:
    """A source may mean its data for more than a person was ever asked about; that is not a use that remains."""
    example = champion.run.snapshot.rows.get(leaf_index=0).example
    ProvenanceRecord.objects.filter(pk=example.provenance_id).update(intended_purposes=["sft", "preference"])
    task = Task.objects.create(project=champion.project, example=example)
    subject = builders.person_in(champion.run.snapshot)
    consent(subject, "sft")
    services.withdrawal_walk(
        withdrawal_uid=str(consent_withdraw(subject=subject, by=admin, purposes=["sft"]).uid)
    )
    task.refresh_from_db()
    example.refresh_from_db()
    assert (task.state, example.status) == ("withdrawn", "withdrawn")


@pytest.mark.parametrize("state", ["ConsentRefused", "ConsentWithdrawn", "ConsentRevoked", "ConsentInvalidated"])
def test_a_refusal_that_is_imported_reaches_as_far_as_one_that_a_steward_enters(
    champion: ModelVersion, state: str
) -> None:
    snapshot = champion.run.snapshot
    consent(builders.person_in(snapshot), "sft", "continued_pretraining", state=state)
    jobs_drain()
    for thing in (champion, snapshot):
        thing.refresh_from_db()
    assert (champion.status, snapshot.status) == ("retrain_required", "tainted")
    assert snapshot.rows.get(leaf_index=0).example.status == "withdrawn"
    assert Withdrawal.objects.get().receipt["models"] == {"models": [champion.name]}


def test_a_run_that_is_requested_while_the_walk_goes_on_is_found_all_the_same(
    withdrawal: Withdrawal, champion: ModelVersion, lead: User
) -> None:
    late: list[TrainingRun] = []

    def request(done: int) -> None:
        if not late:
            late.append(builders.requested(lead, of=Snapshot.objects.get(), where=champion.project))

    done = services.withdrawal_walk(withdrawal_uid=str(withdrawal.uid), heartbeat=request)
    late[0].refresh_from_db()
    assert late[0].status == "cancelled"
    assert str(late[0].uid) in done.receipt["runs"]["runs"]


# -- data that comes after the refusal -------------------------------------------------------------------------------
def recorded(example: Example, subject: Subject) -> None:
    """Tell the record once more, with this person in it: what a later version of a ticket does."""
    from provenance.services import RecordDraft, record_provenance_bulk

    record = example.provenance
    record_provenance_bulk([RecordDraft(
        source_system=record.source_system, source_record_id=record.source_record_id, content_sha256="f" * 64,
        captured_at=record.captured_at, captured_by="test", license_spdx="CC0-1.0", intended_purposes=("sft",),
        origin_geography="EU", personal_data="redacted", storage_allowed=("EU",), processing_included=("EU",),
        subject_refs=((subject.namespace, subject.external_ref),),
    )])


def test_what_comes_after_a_refusal_ends_as_what_came_before_it(project: Any, lead: User) -> None:
    early, late = (builders.example(builders.source(lead)) for _ in range(2))
    tasks = [Task.objects.create(project=project, example=e) for e in (early, late)]
    subject = Subject.objects.create(namespace="n", external_ref="c")
    recorded(early, subject)
    consent(subject, "sft", state="ConsentRefused")
    jobs_drain()
    recorded(late, subject)
    jobs_drain()
    for row in (*tasks, early, late):
        row.refresh_from_db()
    assert [t.state for t in tasks] == ["withdrawn", "withdrawn"]
    assert [e.status for e in (early, late)] == ["withdrawn", "withdrawn"]
    entries = LedgerEntry.objects.count()
    services.late_records_withdraw(record_ids=[late.provenance_id])
    assert LedgerEntry.objects.count() == entries, "a second walk changes nothing"


def test_a_refusal_that_is_known_before_the_first_ticket_withdraws_it_as_it_comes(project: Any, lead: User) -> None:
    subject = Subject.objects.create(namespace="n", external_ref="c")
    consent(subject, "sft", state="ConsentRefused")
    example = builders.example(builders.source(lead))
    task = Task.objects.create(project=project, example=example)
    recorded(example, subject)
    jobs_drain()
    task.refresh_from_db()
    assert task.state == "withdrawn"
    assert not Withdrawal.objects.exists(), "nothing was there to be reached when they said no"


def test_what_comes_of_somebody_who_never_refused_is_left_alone(project: Any, lead: User) -> None:
    subject = Subject.objects.create(namespace="n", external_ref="c")
    consent(subject, "sft", state="ConsentRequested")
    example = builders.example(builders.source(lead))
    task = Task.objects.create(project=project, example=example)
    recorded(example, subject)
    jobs_drain()
    task.refresh_from_db()
    assert task.state == "open"


def test_a_record_that_turns_out_to_be_of_somebody_who_refused_taints_what_stands_on_it(
    champion: ModelVersion,
) -> None:
    subject = Subject.objects.create(namespace="n", external_ref="c")
    consent(subject, "sft", state="ConsentRefused")
    recorded(champion.run.snapshot.rows.get(leaf_index=0).example, subject)
    jobs_drain()
    champion.refresh_from_db()
    assert (champion.status, Snapshot.objects.get().status) == ("retrain_required", "tainted")


# -- what stays blocked ----------------------------------------------------------------------------------------------
def test_no_run_starts_from_a_tainted_snapshot(
    run: TrainingRun, admin: User, lead: User, messages: Messages
) -> None:
    approved = services.run_approve(run=run, by=admin)
    token = messages.token_of(approved)
    stale = Snapshot.objects.get()
    waiting = builders.requested(lead, of=stale)
    snapshots_withdraw([stale.rows.get(leaf_index=0).record_id])
    with pytest.raises(Conflict, match="tainted"):
        builders.requested(lead, of=stale)
    with pytest.raises(Conflict, match="tainted"):
        services.run_approve(run=waiting, by=admin)
    with pytest.raises(LeaseLost, match="cancelled"):
        services.job_lease(job=approved, token=token, worker="box")
    approved.refresh_from_db()
    assert (approved.status, approved.attempts) == ("cancelled", 0)
    assert "tainted" in approved.error
    assert Budget.objects.get().reserved == 0
    assert ledger_verify().ok


def test_a_run_of_a_dead_worker_is_not_taken_up_again_on_a_tainted_snapshot(
    leased: tuple[TrainingRun, str], messages: Messages
) -> None:
    from django.utils import timezone

    run, _ = leased
    Snapshot.objects.update(status="tainted")
    TrainingRun.objects.update(claim_expires_at=timezone.now())
    services.remote_jobs_sweep()
    run.refresh_from_db()
    with pytest.raises(LeaseLost):
        services.job_lease(job=run, token=messages.token_of(run), worker="other")
    run.refresh_from_db()
    assert run.status == "cancelled"


# -- what becomes of the model ---------------------------------------------------------------------------------------
@pytest.fixture
def taught(champion: ModelVersion, admin: User) -> ModelVersion:
    """A model that was taught by rows that were withdrawn since."""
    consent_withdraw(subject=builders.person_in(champion.run.snapshot), by=admin)
    jobs_drain()
    champion.refresh_from_db()
    return champion


@pytest.mark.parametrize("decision", ["retrain", "retire", "anonymity"])
def test_a_decision_is_recorded_and_never_makes_the_model_clean(
    taught: ModelVersion, steward: User, admin: User, decision: str
) -> None:
    reason = "See the assessment of 3 May, DPIA-12."
    made = services.model_decide(model=taught, decision=decision, reason=reason, by=steward)
    assert (made.status, made.decision, made.decided_by) == ("retrain_required", decision, steward)
    assert LedgerEntry.objects.get(action="model.decide").payload == {"decision": decision, "reason": reason}
    with pytest.raises(Conflict, match="no reason overrides"):
        services.model_promote(model=taught, by=admin, override_reason="We really want it anyway.")
    with pytest.raises(Conflict, match="only the champion"):
        services.suggestions_publish(model=made, by=admin)


def test_a_decision_needs_a_person_a_word_and_a_reason(
    taught: ModelVersion, steward: User, lead: User, stranger: User
) -> None:
    for person in (lead, stranger):
        with pytest.raises(Forbidden):
            services.model_decide(model=taught, decision="retire", reason="It is too old.", by=person)
    with pytest.raises(ValidationFailed, match="'clean'"):
        services.model_decide(model=taught, decision="clean", reason="It is too old.", by=steward)
    with pytest.raises(ValidationFailed, match="at least 10"):
        services.model_decide(model=taught, decision="retire", reason="  old  ", by=steward)


def test_there_is_nothing_to_decide_on_a_model_without_withdrawn_rows(model: ModelVersion, steward: User) -> None:
    with pytest.raises(Conflict, match="nothing to decide"):
        services.model_decide(model=model, decision="retire", reason="It is too old.", by=steward)


def test_a_steward_decides_on_the_models_page(
    taught: ModelVersion, client_of: ClientOf, steward: User, lead: User
) -> None:
    url = reverse("runs:model_decide", args=[taught.name])
    assert client_of(lead).post(url, {"decision": "retire", "reason": "It is too old."}).status_code == 403
    client = client_of(steward)
    page = reverse("runs:model", args=[taught.name])
    assert "Not decided" in client.get(page).content.decode()
    assert "Not recorded" in client.post(url, {"decision": "retire"}, follow=True).content.decode()
    client.post(url, {"decision": "retire", "reason": "It is too old, and small."})
    assert "Retire for good" in client.get(page).content.decode()


def test_a_script_decides_through_the_api(taught: ModelVersion, api_of: Any, steward: User, lead: User) -> None:
    url = f"/api/v1/models/{taught.name}/decide/"
    body = {"decision": "retrain", "reason": "The next generation replaces it."}
    assert api_of(lead).post(url, body, format="json").status_code == 403
    assert api_of(steward).post(url, {"decision": "keep"}, format="json").status_code == 400
    answered = api_of(steward).post(url, body, format="json")
    assert (answered.status_code, answered.json()["decision"]) == (200, "retrain")


def test_runs_and_models_say_that_withdrawn_rows_taught_them(
    taught: ModelVersion, client_of: ClientOf, lead: User
) -> None:
    client = client_of(lead)
    for url in (reverse("runs:run", args=[taught.run.uid]), reverse("runs:model", args=[taught.name])):
        assert "withdrew their consent since" in client.get(url).content.decode()
    assert "Tainted" in client.get(reverse("runs:runs")).content.decode()
    assert "Retraining required" in client.get(reverse("runs:models")).content.decode()
