"""People who say no: whom it reaches, for what, and when, whatever order it is told in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from flywheel.audit.models import LedgerEntry
from flywheel.work import registry
from flywheel.work.jobs import jobs_drain
from flywheel.work.models import Job
from flywheel.work.registry import JobKind
from provenance import selectors, services
from provenance.models import ProvenanceRecord, Subject, Withdrawal
from tests.conftest import TESTER
from tests.provenance.conftest import consent_row, draft

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_walks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The walks belong to a higher app; here only the requests for them count."""
    # All kinds are loaded first, because a module that registers one of these two later would be refused as a second one.
    registry.job_kinds()
    for topic in ("withdrawal.walk", "withdrawal.late"):
        monkeypatch.setitem(registry._kinds, topic, JobKind(topic, work=lambda claim: None))


def told(record_id: str, state: str, at: datetime | str) -> None:
    moment = at if isinstance(at, str) else at.isoformat()
    services.consent_event_add(record_id=record_id, event={"event_time": moment, "event_state": state}, by=TESTER)


def late() -> list[list[int]]:
    rows = Job.objects.filter(kind="withdrawal.late").order_by("pk")
    return [row.payload["records"] for row in rows]


# -- data after the refusal ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("state", ["ConsentRefused", "ConsentWithdrawn", "ConsentRevoked", "ConsentInvalidated"])
def test_data_of_somebody_who_refused_before_is_handed_on_to_be_withdrawn(state: str):
    services.consent_import(rows=[consent_row(1, state), consent_row(2)], by=TESTER)
    made = services.record_provenance_bulk([draft(1), draft(2)])
    assert late() == [[made["t-1"].pk]]


def test_data_of_somebody_whose_withdrawal_was_walked_long_ago_is_handed_on(records, steward):
    (record,) = records(1)
    services.consent_withdraw(subject=record.subjects.get(), by=steward)
    jobs_drain()
    newer = services.record_provenance_bulk([draft(5, subject_refs=draft(1).subject_refs)])["t-5"]
    assert late() == [[newer.pk]]


def test_the_same_data_again_is_not_handed_on_again():
    services.consent_import(rows=[consent_row(1, "ConsentRefused")], by=TESTER)
    for _ in range(3):
        services.record_provenance_bulk([draft(1)])
    assert len(late()) == 1


def test_looking_for_refusals_takes_two_queries_per_thousand_records(django_assert_max_num_queries):
    from django.db import transaction

    from provenance.services.withdrawal import late_follow

    made = services.record_provenance_bulk([draft(n) for n in range(60)])
    with transaction.atomic(), django_assert_max_num_queries(2):
        late_follow(record_ids=[r.pk for r in made.values()])
    assert late() == []


# -- for which purposes ----------------------------------------------------------------------------------------------
def test_a_newer_consent_to_something_else_does_not_hide_a_refusal(records):
    records(1, consent=False)
    services.consent_import(by=TESTER, rows=[
        consent_row(1, purposes=["sft"], record_id="a"),
        consent_row(1, purposes=["evaluation"], record_id="b"),
    ])
    told("b", "RenewedConsentGiven", "2026-03-01T00:00:00Z")
    told("a", "ConsentWithdrawn", "2026-02-20T00:00:00Z")
    assert Withdrawal.objects.get().purposes == ["sft"]


def test_a_refusal_older_than_a_renewed_consent_reaches_nothing(records):
    records(1)
    told("c-1", "RenewedConsentGiven", "2026-03-01T00:00:00Z")
    told("c-1", "ConsentWithdrawn", "2026-02-20T00:00:00Z")
    assert not Withdrawal.objects.exists()


def test_a_refusal_reaches_only_what_is_not_consented_to_anew(records):
    records(1)
    services.consent_import(by=TESTER, rows=[consent_row(
        1, record_id="newer", purposes=["evaluation"],
        events=[{"event_time": "2026-03-01T00:00:00Z", "event_state": "ConsentGiven"}],
    )])
    told("c-1", "ConsentRevoked", "2026-02-20T00:00:00Z")
    assert set(Withdrawal.objects.get().purposes) == {"sft", "continued_pretraining"}


def test_consent_to_something_else_does_not_double_a_withdrawal(records, steward):
    (record,) = records(1)
    subject = record.subjects.get()
    first = services.consent_withdraw(subject=subject, by=steward, purposes=["sft"])
    services.consent_import(by=TESTER, rows=[consent_row(
        1, record_id="other", purposes=["evaluation"],
        events=[{"event_time": timezone.now().isoformat(), "event_state": "ConsentGiven"}],
    )])
    assert services.consent_withdraw(subject=subject, by=steward, purposes=["sft"]) == first


# -- ahead of its time -----------------------------------------------------------------------------------------------
def test_a_refusal_told_ahead_of_its_time_is_followed_once_that_has_come(records, monkeypatch):
    (record,) = records(1)
    soon = timezone.now() + timedelta(hours=2)
    told("c-1", "ConsentWithdrawn", soon)
    jobs_drain()
    assert services.gate_judge([record.pk], purpose="sft", region="EU")[record.pk].cleared
    assert not Withdrawal.objects.exists()
    monkeypatch.setattr(timezone, "now", lambda: soon + timedelta(seconds=1))
    jobs_drain()
    assert Withdrawal.objects.get().effective_at == soon
    assert Job.objects.filter(kind="withdrawal.walk").count() == 1
    services.refusal_due(record_id="c-1", state="ConsentWithdrawn", at=soon.isoformat())
    assert Withdrawal.objects.count() == 1


def test_a_refusal_at_the_end_of_the_calendar_waits_without_harm(records):
    records(1)
    told("c-1", "ConsentRefused", datetime(9999, 12, 31, tzinfo=UTC))
    jobs_drain()
    assert not Withdrawal.objects.exists()


# -- what is left ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("events", "spent"), [
    ([("ConsentGiven", "2026-01-01")], False),
    ([], False),
    ([("ConsentRequested", "2026-01-01")], False),
    ([("ConsentGiven", "2026-01-01"), ("ConsentWithdrawn", "2026-02-01")], True),
    ([("ConsentRefused", "2026-01-01")], True),
    ([("ConsentRefused", "2026-01-01"), ("ConsentGiven", "2026-02-01")], False),
])
def test_nothing_is_left_only_where_somebody_said_no(events: list[tuple[str, str]], spent: bool):
    record = services.record_provenance_bulk([draft(1)])["t-1"]
    services.consent_import(by=TESTER, rows=[consent_row(1, events=[
        {"event_time": f"{at}T00:00:00Z", "event_state": state} for state, at in events
    ])])
    assert (record.pk in selectors.records_spent([record.pk])) is spent


def test_a_purpose_with_consent_in_another_region_is_left(settings):
    settings.FLYWHEEL = settings.FLYWHEEL | {"REGION": "EU", "REGIONS": []}
    record = services.record_provenance_bulk([draft(1, intended_purposes=("sft", "evaluation"))])["t-1"]
    services.consent_import(by=TESTER, rows=[
        consent_row(1, "ConsentRefused", record_id="a", purposes=["sft"]),
        consent_row(1, record_id="b", purposes=["evaluation"], geographic_restrictions=["CH"]),
    ])
    assert selectors.records_spent([record.pk]) == []
    assert selectors.records_refused([record.pk]) == {record.pk: frozenset({"sft"})}


def test_one_of_two_people_is_enough_to_leave_nothing():
    both = (*draft(1).subject_refs, *draft(2).subject_refs)
    record = services.record_provenance_bulk([draft(1, subject_refs=both)])["t-1"]
    services.consent_import(rows=[consent_row(1), consent_row(2, "ConsentRefused")], by=TESTER)
    assert selectors.records_spent([record.pk]) == [record.pk]


def test_the_end_is_the_same_in_whatever_order_records_and_refusals_come():
    """Six orders of three tellings; what is withdrawn and what is handed on later add up to the same records."""
    from itertools import permutations

    reached: list[set[str]] = []
    for number, order in enumerate(permutations(("given", "withdrawn", "record"))):
        ref, key = (("acme", f"p{number}"),), f"order-{number}"
        states = {"given": ("ConsentGiven", "2026-01-01"), "withdrawn": ("ConsentWithdrawn", "2026-02-01")}
        before = set(Job.objects.values_list("pk", flat=True))
        for step in order:
            if step == "record":
                services.record_provenance_bulk([draft(100 + number, subject_refs=ref)])
            else:
                state, at = states[step]
                services.consent_import(by=TESTER, rows=[consent_row(
                    subject_ref=f"p{number}", record_id=key,
                    events=[{"event_time": f"{at}T00:00:00Z", "event_state": state}],
                )])
        topics = set(Job.objects.exclude(pk__in=before).values_list("kind", flat=True))
        reached.append(topics & {"withdrawal.walk", "withdrawal.late"})
        record = ProvenanceRecord.objects.get(source_record_id=f"t-{100 + number}")
        assert selectors.records_spent([record.pk]) == [record.pk], order
    assert all(len(topics) == 1 for topics in reached), reached


def test_a_person_who_said_nothing_refuses_nothing():
    subject = Subject.objects.create(namespace="n", external_ref="r")
    assert selectors.subject_refuses(subject.pk) == frozenset()
    assert not LedgerEntry.objects.exists()

