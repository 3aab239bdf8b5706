"""Recording, consenting, judging, withdrawing and a steward's decisions, on the database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from flywheel.audit.ledger import ledger_verify
from flywheel.audit.models import LedgerEntry
from flywheel.core.errors import Conflict, NotFound, ValidationFailed
from flywheel.stats.registry import stats_refresh
from flywheel.work.models import Job
from provenance import services
from provenance.models import (
    ConsentEvent,
    ConsentRecord,
    GateReason,
    GateVerdict,
    LawfulBasis,
    ProvenanceRecord,
    Subject,
    Withdrawal,
)
from provenance.selectors import ledger_seq, records_changed_since
from tests.conftest import TESTER
from tests.provenance.conftest import consent_row, draft

pytestmark = pytest.mark.django_db


def rules_of(record: ProvenanceRecord, purpose: str = "sft") -> set[str]:
    found = services.gate_judge([record.pk], purpose=purpose, region="EU")[record.pk]
    return {reason.rule for reason in found.reasons}


def test_recording_twice_is_one_record_and_one_ledger_entry():
    first = services.record_provenance_bulk([draft(1), draft(2)])
    again = services.record_provenance_bulk([draft(1, captured_at=timezone.now()), draft(2)])
    assert {k: v.pk for k, v in first.items()} == {k: v.pk for k, v in again.items()}
    assert LedgerEntry.objects.filter(action="provenance.record").count() == 1
    assert Subject.objects.count() == 2


def test_newer_facts_change_the_record_and_have_it_judged_again(records):
    (record,) = records(1)
    services.due_judge()
    assert not ProvenanceRecord.objects.get().judge_due
    services.record_provenance_bulk([draft(1, content_sha256="f" * 64, subject_refs=(("acme", "other"),))])
    record.refresh_from_db()
    assert record.judge_due
    assert record.content_sha256 == "f" * 64
    assert [s.external_ref for s in record.subjects.all()] == ["other"]


def test_a_record_without_a_hash_is_refused_by_name():
    with pytest.raises(ValidationFailed, match="content_sha256"):
        services.record_provenance_bulk([draft(1, content_sha256="")])


def test_consent_import_is_idempotent_and_order_does_not_matter():
    row = consent_row(1)
    row["events"] = [
        {"event_time": "2026-02-03T00:00:00Z", "event_type": "x", "event_state": "ConsentRequested", "entity_id": "e"},
        {"event_time": "2026-02-01T00:00:00Z", "event_type": "x", "event_state": "ConsentGiven", "entity_id": "e"},
    ]
    first = services.consent_import(rows=[row], by=TESTER)
    second = services.consent_import(rows=[{**row, "events": row["events"][::-1]}], by=TESTER)
    assert (first.records, first.events) == (1, 2)
    assert (second.rows, second.records, second.events) == (1, 0, 0)


@pytest.mark.parametrize(("change", "says"), [
    ({"purposes": ["selling"]}, "selling"), ({"purposes": []}, "purposes"), ({"record_id": ""}, "record_id"),
    ({"lawful_basis": "eu-gdpr:A6-1-f"}, "not consent"), ({"surname": "x"}, "surname"), ({"events": 5}, "events"),
    ({"events": [{"event_time": "soon", "event_state": "ConsentGiven"}]}, "soon"),
    ({"events": [{"event_time": "2026-01-01T00:00:00Z", "event_state": "Maybe"}]}, "Maybe"),
    ({"events": [{"event_time": "2026-01-01T00:00:00Z", "event_state": "ConsentGiven",
                  "validity_duration": "a year"}]}, "a year"),
])
def test_a_bad_consent_row_is_named_with_its_number_and_nothing_of_it_is_kept(change: dict[str, Any], says: str):
    with pytest.raises(ValidationFailed, match=f"row 2: .*{says}"):
        services.consent_import(rows=[consent_row(1), consent_row(2) | change], by=TESTER)
    assert not ConsentRecord.objects.exists()


def test_the_terms_of_a_consent_record_do_not_change():
    services.consent_import(rows=[consent_row(1)], by=TESTER)
    with pytest.raises(Conflict, match="other terms"):
        services.consent_import(rows=[consent_row(1, purposes=["sft"])], by=TESTER)
    with pytest.raises(Conflict, match="another subject"):
        services.consent_import(rows=[consent_row(1, subject_ref="somebody")], by=TESTER)


def test_judging_stores_verdicts_with_reasons_and_repeats_without_change(records):
    good, bad = records(2)
    services.record_provenance_bulk([draft(2, license_spdx="")])
    services.due_judge()
    assert GateVerdict.objects.get(record=good, purpose="sft").cleared
    assert GateVerdict.objects.filter(record=bad, cleared=False).count() == 3
    assert set(GateReason.objects.values_list("rule", flat=True)) == {"licence_unknown"}
    entries = LedgerEntry.objects.count()
    assert services.due_judge() == 0
    services.clear_or_refuse([good.pk, bad.pk], purpose="sft", region="EU")
    assert LedgerEntry.objects.count() == entries


def test_judging_many_takes_a_fixed_number_of_queries(records, django_assert_max_num_queries):
    ids = [record.pk for record in records(60)]
    with django_assert_max_num_queries(8):
        verdicts = services.gate_judge(ids, purpose="sft", region="EU")
    assert all(v.cleared for v in verdicts.values())


def test_a_verdict_whose_time_has_come_is_judged_again(records):
    records(1, retention_until=timezone.now() + timedelta(hours=1))
    services.due_judge()
    GateVerdict.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert services.verdicts_expire() == 1
    assert services.due_judge() == 1
    assert GateVerdict.objects.filter(expires_at__gt=timezone.now()).count() == 3


def test_an_event_out_of_order_does_not_bring_consent_back(records):
    (record,) = records(1)
    services.consent_event_add(
        record_id="c-1", event={"event_time": "2026-03-01T00:00:00Z", "event_state": "ConsentRefused"}, by=TESTER
    )
    services.consent_event_add(
        record_id="c-1", event={"event_time": "2026-02-20T00:00:00Z", "event_state": "RenewedConsentGiven"}, by=TESTER
    )
    assert rules_of(record) == {"consent_refused"}


def test_the_same_event_again_changes_nothing(records):
    records(1)
    event = {"event_time": "2026-02-01T10:00:00Z", "event_state": "ConsentGiven", "validity_duration": "P5Y"}
    before = LedgerEntry.objects.count()
    services.consent_event_add(record_id="c-1", event=event, by=TESTER)
    assert LedgerEntry.objects.count() == before
    assert ConsentEvent.objects.count() == 1


def test_the_same_event_with_another_end_is_refused_instead_of_forgotten(records):
    """Which of two tellings came first would else decide how long the consent holds."""
    records(1)
    event = {"event_time": "2026-02-01T10:00:00Z", "event_state": "ConsentGiven", "validity_duration": "P1Y"}
    with pytest.raises(Conflict, match="another validity"):
        services.consent_event_add(record_id="c-1", event=event, by=TESTER)
    again = consent_row(1)
    again["events"] = [{**again["events"][0], "validity_duration": "P1Y"}]
    with pytest.raises(Conflict, match="another validity"):
        services.consent_import(rows=[again], by=TESTER)
    both = consent_row(2, record_id="c-2x")
    both["events"] = [both["events"][0], {**both["events"][0], "validity_duration": "P1Y"}]
    with pytest.raises(Conflict, match="another validity"):
        services.consent_import(rows=[both], by=TESTER)
    assert not ConsentRecord.objects.filter(record_id="c-2x").exists()


@pytest.mark.parametrize("terms", [{"geographic_restrictions": ["DE"]}, {"lawful_basis": "eu-gdpr:A9-2-a"}])
def test_a_consent_record_told_again_with_narrower_terms_is_refused_instead_of_ignored(records, terms):
    (record,) = records(1)
    with pytest.raises(Conflict, match="other terms"):
        services.consent_record_add(row=consent_row(1, **terms), by=TESTER)
    assert rules_of(record) == set()


def test_a_consent_record_told_again_without_its_regions_keeps_them():
    row = consent_row(1, geographic_restrictions=["DE"])
    assert services.consent_record_add(row=row, by=TESTER)[1]
    record, made = services.consent_record_add(row=consent_row(1), by=TESTER)
    assert (record.geographic_restrictions, made) == (["DE"], False)


def test_an_event_of_an_unknown_record_is_refused():
    with pytest.raises(NotFound, match="nope"):
        services.consent_event_add(record_id="nope", event={}, by=TESTER)


def test_a_refusing_event_is_walked_like_a_withdrawal(records):
    records(1)
    services.consent_event_add(
        record_id="c-1", event={"event_time": "2026-03-01T00:00:00Z", "event_state": "ConsentRevoked"}, by=TESTER
    )
    assert Withdrawal.objects.get().effective_at.isoformat() == "2026-03-01T00:00:00+00:00"
    assert Job.objects.filter(kind="withdrawal.walk").count() == 1


def test_withdrawal_blocks_in_its_own_transaction(records, steward):
    (record,) = records(1)
    services.due_judge()
    withdrawal = services.consent_withdraw(subject=record.subjects.get(), by=steward, reason="asked by letter")
    assert not GateVerdict.objects.filter(cleared=True).exists()
    assert rules_of(record) == {"consent_withdrawn"}
    assert ConsentEvent.objects.filter(event_state="ConsentWithdrawn").count() == 1
    assert Job.objects.get(kind="withdrawal.walk").payload == {"withdrawal_uid": str(withdrawal.uid)}
    assert "letter" not in str(list(LedgerEntry.objects.values_list("payload", flat=True)))
    assert ledger_verify().ok


def test_withdrawing_twice_is_one_withdrawal_until_consent_is_given_anew(records, steward):
    (record,) = records(1)
    subject = record.subjects.get()
    first = services.consent_withdraw(subject=subject, by=steward)
    assert services.consent_withdraw(subject=subject, by=steward, purposes=["sft"]) == first
    event = {"event_time": timezone.now().isoformat(), "event_state": "RenewedConsentGiven"}
    services.consent_event_add(record_id="c-1", event=event, by=TESTER)
    assert rules_of(record) == set()
    assert services.consent_withdraw(subject=subject, by=steward) != first
    assert rules_of(record) == {"consent_withdrawn"}


def test_consent_told_ahead_of_its_time_makes_no_second_withdrawal(records, steward):
    (record,) = records(1)
    subject = record.subjects.get()
    first = services.consent_withdraw(subject=subject, by=steward)
    later = (timezone.now() + timedelta(days=9)).isoformat()
    services.consent_event_add(record_id="c-1", event={"event_time": later, "event_state": "ConsentGiven"}, by=TESTER)
    assert services.withdrawal_ensure(subject=subject, by=steward) == (first, False)


def test_withdrawing_one_purpose_leaves_the_others(records, steward):
    (record,) = records(1)
    services.consent_withdraw(subject=record.subjects.get(), by=steward, purposes=["sft"])
    assert rules_of(record, "sft") == {"consent_withdrawn"}
    assert rules_of(record, "evaluation") == set()


def test_withdrawal_of_an_unknown_purpose_is_refused(records, steward):
    (record,) = records(1)
    with pytest.raises(ValidationFailed, match="selling"):
        services.consent_withdraw(subject=record.subjects.get(), by=steward, purposes=["selling"])


def test_the_receipt_is_written_by_sections_and_then_final(records, steward):
    (record,) = records(1)
    withdrawal = services.consent_withdraw(subject=record.subjects.get(), by=steward)
    for _ in range(2):
        services.withdrawal_receipt_add(withdrawal_uid=str(withdrawal.uid), section="tasks", data={"ids": [1]})
    done = services.withdrawal_complete(withdrawal_uid=str(withdrawal.uid))
    assert done.receipt == {"tasks": {"ids": [1]}}
    assert services.withdrawal_complete(withdrawal_uid=str(withdrawal.uid)).completed_at == done.completed_at
    assert LedgerEntry.objects.filter(action="withdrawal.complete").count() == 1


def test_a_basis_of_the_whole_source_clears_and_its_end_blocks(records, steward):
    (record,) = records(1, consent=False)
    assert rules_of(record) == {"no_consent"}
    terms = {"source_system": "acme", "basis": "eu-gdpr:A6-1-f", "purposes": ["sft"], "document": "LIA-7"}
    basis = services.lawful_basis_record(**terms, by=steward)
    assert services.lawful_basis_record(**terms, by=steward) == basis
    assert rules_of(record) == set()
    services.lawful_basis_revoke(basis=basis, by=steward)
    assert rules_of(record) == {"no_consent"}
    assert LawfulBasis.objects.count() == 1


@pytest.mark.parametrize(("change", "says"), [
    ({"basis": "eu-gdpr:A6-1-a"}, "is consent"), ({"document": " "}, "document"), ({"purposes": []}, "purposes"),
    ({"source_system": ""}, "source"),
])
def test_a_basis_without_its_papers_is_refused(change: dict[str, Any], says: str, steward):
    terms = {"source_system": "acme", "basis": "eu-gdpr:A6-1-f", "purposes": ["sft"], "document": "LIA-7"}
    with pytest.raises(ValidationFailed, match=says):
        services.lawful_basis_record(**(terms | change), by=steward)


def test_quarantine_blocks_at_once_and_release_lifts_it(records, steward):
    (record,) = records(1)
    review = services.steward_quarantine(record=record, reason="looks odd", by=steward)
    assert len(review.record_hash) == 64
    assert GateReason.objects.filter(rule="quarantined").count() == 3
    with pytest.raises(Conflict):
        services.steward_quarantine(record=record, reason="again", by=steward)
    services.steward_release(record=record, reason="was fine", by=steward)
    assert rules_of(record) == set()
    with pytest.raises(Conflict):
        services.steward_release(record=record, reason="again", by=steward)


def test_clearing_personal_data_holds_for_that_content_only(records, steward):
    (record,) = records(1, personal_data="present")
    services.steward_clear_personal_data(record=record, reason="public figures only", by=steward)
    assert rules_of(record) == set()
    services.record_provenance_bulk([draft(1, personal_data="present")])
    assert rules_of(record) == set()
    services.record_provenance_bulk([draft(1, personal_data="present", content_sha256="e" * 64)])
    assert rules_of(record) == {"personal_data_unredacted"}
    with pytest.raises(ValidationFailed, match="reason"):
        services.steward_quarantine(record=record, reason="  ", by=steward)


def test_there_is_nothing_to_clear_where_personal_data_is_redacted(records, steward):
    (record,) = records(1)
    with pytest.raises(Conflict, match="nothing to clear"):
        services.steward_clear_personal_data(record=record, reason="why not", by=steward)


def test_changed_terms_of_a_source_reach_every_record(records, steward):
    made = records(3)
    assert services.source_terms_change(source_system="acme", by=steward, license_spdx="CC-BY-NC-4.0") == 3
    services.due_judge()
    assert GateVerdict.objects.filter(record__in=made, cleared=False).count() == 9
    with pytest.raises(ValidationFailed, match="personal_data"):
        services.source_terms_change(source_system="acme", by=steward, personal_data="none")


def test_every_change_of_facts_is_found_again_by_its_place_in_the_ledger(records, steward):
    made = records(4)
    start = ledger_seq()
    assert set(records_changed_since(start)) == set()
    services.steward_quarantine(record=made[0], reason="odd", by=steward)
    services.consent_withdraw(subject=made[1].subjects.get(), by=steward)
    services.record_provenance_bulk([draft(3, license_spdx="MIT")])
    assert set(records_changed_since(start)) == {made[0].pk, made[1].pk, made[2].pk}
    services.source_terms_change(source_system="acme", by=steward, license_spdx="MIT")
    assert set(records_changed_since(start)) == {r.pk for r in made}


def test_counting_gives_gauges_that_fall_to_zero_again(records, steward):
    from flywheel.stats.series import gauges_of

    made = records(2)
    services.steward_quarantine(record=made[0], reason="odd", by=steward)
    services.due_judge()
    stats_refresh(due_only=False)
    counted = gauges_of("gate:sft:EU")
    assert (counted.value("cleared"), counted.value("refused"), counted.value("rule.quarantined")) == (1, 1, 1)
    services.steward_release(record=made[0], reason="fine", by=steward)
    stats_refresh(due_only=False)
    assert gauges_of("gate:sft:EU").value("rule.quarantined") == 0


