"""The gate: deny by default, every reason named, and nothing cleared by knowing less."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provenance.domain.consent import Basis, Consent, Event, Withdrawn
from provenance.domain.gate import CONSENT_RULES, RULES, RecordFacts, SubjectFacts, Verdict, verdict
from provenance.domain.vocabulary import BLOCKING_STATES

NOW = datetime(2026, 6, 1, tzinfo=UTC)
YEAR = 365 * 86400
UID = "11111111-1111-1111-1111-111111111111"


def consent(state: str = "ConsentGiven", **fields: Any) -> Consent:
    events = (Event(NOW - timedelta(days=30), state, YEAR),)
    return Consent(**({"record_id": "c1", "purposes": frozenset({"sft"}), "lawful_basis": "eu-gdpr:A6-1-a",
                       "events": events} | fields))


def cleared_facts(**fields: Any) -> RecordFacts:
    """Facts that clear for sft in the EU; each test takes one away or spoils it."""
    good: dict[str, Any] = {
        "uid": "r1", "source_system": "acme", "source_record_id": "t-1", "content_sha256": "a" * 64,
        "origin_geography": "EU", "license_spdx": "CC-BY-4.0", "intended_purposes": ("sft",),
        "personal_data": "redacted", "processing_included": ("EU",), "storage_allowed": ("EU",),
        "subjects": (SubjectFacts(UID, consents=(consent(),)),),
    }
    return RecordFacts(**(good | fields))


def judge(facts: RecordFacts, purpose: str = "sft", region: str = "EU", commercial: bool = True) -> Verdict:
    return verdict(facts, purpose, region, commercial, NOW)


def rules(found: Verdict) -> set[str]:
    return {reason.rule for reason in found.reasons}


def with_subject(**fields: Any) -> RecordFacts:
    return cleared_facts(subjects=(SubjectFacts(UID, **fields),))


def test_a_record_with_every_fact_clears():
    found = judge(cleared_facts())
    assert found.cleared
    assert found.reasons == ()
    assert found.flags == ("attribution",)


def test_a_record_of_which_nothing_is_known_is_refused_for_every_missing_fact():
    assert rules(judge(RecordFacts(uid="r1"))) == {
        "origin_unknown", "licence_unknown", "purpose_not_intended", "basis_not_recorded", "region_not_allowed",
        "personal_data_unknown",
    }


@pytest.mark.parametrize(("spoilt", "rule"), [
    ({"source_record_id": ""}, "origin_unknown"),
    ({"content_sha256": ""}, "origin_unknown"),
    ({"origin_geography": ""}, "origin_unknown"),
    ({"license_spdx": ""}, "licence_unknown"),
    ({"license_spdx": "NOASSERTION"}, "licence_unknown"),
    ({"license_spdx": "CC-BY-NC-4.0"}, "licence_forbids_purpose"),
    ({"license_spdx": "CC-BY-ND-4.0"}, "licence_forbids_purpose"),
    ({"intended_purposes": ("evaluation",)}, "purpose_not_intended"),
    ({"prohibited_purposes": ("sft",)}, "purpose_prohibited"),
    ({"processing_included": ()}, "region_not_allowed"),
    ({"processing_included": ("US",)}, "region_not_allowed"),
    ({"processing_excluded": ("DE",)}, "region_not_allowed"),
    ({"storage_allowed": ()}, "region_not_allowed"),
    ({"storage_forbidden": ("EU",)}, "region_not_allowed"),
    ({"personal_data": "present"}, "personal_data_unredacted"),
    ({"personal_data": "unknown"}, "personal_data_unknown"),
    ({"retention_until": NOW}, "retention_passed"),
    ({"quarantined": True}, "quarantined"),
    ({"erased": True}, "erased"),
    ({"subjects": ()}, "basis_not_recorded"),
])
def test_each_fact_that_is_wrong_is_one_named_reason(spoilt: dict[str, Any], rule: str):
    found = judge(cleared_facts(**spoilt))
    assert not found.cleared
    assert rules(found) == {rule}
    assert all(reason.fix for reason in found.reasons)


def test_nc_is_for_non_commercial_use_only():
    assert judge(cleared_facts(license_spdx="CC-BY-NC-4.0"), commercial=False).cleared


def test_share_alike_clears_and_is_flagged():
    found = judge(cleared_facts(license_spdx="CC-BY-SA-4.0"))
    assert found.cleared
    assert "share_alike" in found.flags


def test_own_terms_need_the_purpose_listed():
    assert judge(cleared_facts(license_spdx="LicenseRef-acme")).cleared
    found = judge(cleared_facts(license_spdx="LicenseRef-acme", intended_purposes=("evaluation",)))
    assert rules(found) == {"purpose_not_intended", "licence_forbids_purpose"}


def test_an_unknown_purpose_is_refused():
    assert "purpose_unknown" in rules(judge(cleared_facts(), purpose="marketing"))


@pytest.mark.parametrize("state", sorted(BLOCKING_STATES))
def test_every_state_but_given_and_renewed_blocks(state: str):
    found = judge(with_subject(consents=(consent(state),)))
    assert rules(found) == {CONSENT_RULES[state]}
    assert UID in found.reasons[0].value


def test_a_state_nobody_has_heard_of_blocks():
    assert not judge(with_subject(consents=(consent("ConsentPerhaps"),))).cleared


def test_consent_holds_only_until_it_expires():
    ends = NOW - timedelta(days=30) + timedelta(seconds=YEAR)
    assert judge(cleared_facts()).expires_at == ends
    late = verdict(cleared_facts(), "sft", "EU", True, ends)
    assert rules(late) == {"consent_expired"}


def test_every_subject_needs_consent_and_the_one_without_is_named():
    other = "22222222-2222-2222-2222-222222222222"
    found = judge(cleared_facts(subjects=(SubjectFacts(UID, (consent(),)), SubjectFacts(other))))
    assert [reason.rule for reason in found.reasons] == ["no_consent"]
    assert other in found.reasons[0].value


def test_consent_for_another_purpose_is_no_consent():
    assert rules(judge(with_subject(consents=(consent(purposes=frozenset({"evaluation"})),)))) == {"no_consent"}


def test_consent_restricted_to_another_region_does_not_clear():
    assert rules(judge(with_subject(consents=(consent(regions=("US",)),)))) == {"consent_outside_region"}


BASIS = Basis("eu-gdpr:A6-1-f", frozenset({"sft"}), "LIA-7", source_system="acme")


def test_a_recorded_basis_of_the_source_stands_in_for_consent():
    assert judge(cleared_facts(subjects=(SubjectFacts(UID),), bases=(BASIS,))).cleared
    assert judge(cleared_facts(subjects=(), bases=(BASIS,))).cleared


@pytest.mark.parametrize("spoilt", [
    {"document": ""}, {"purposes": frozenset()}, {"valid_until": NOW}, {"revoked_at": NOW}, {"source_system": "other"},
    {"basis": "eu-gdpr:A6-1-a"},
])
def test_a_basis_that_does_not_hold_clears_nothing(spoilt: dict[str, Any]):
    assert not judge(cleared_facts(subjects=(SubjectFacts(UID),), bases=(replace(BASIS, **spoilt),))).cleared


@pytest.mark.parametrize("state", ["ConsentWithdrawn", "ConsentRefused", "ConsentRevoked", "ConsentInvalidated"])
def test_a_refusal_beats_a_recorded_basis(state: str):
    facts = cleared_facts(subjects=(SubjectFacts(UID, (consent(state),), (BASIS,)),), bases=(BASIS,))
    assert rules(judge(facts)) == {CONSENT_RULES[state]}


def test_a_consent_record_with_another_basis_is_not_consent():
    assert rules(judge(with_subject(consents=(consent(lawful_basis="eu-gdpr:A6-1-b"),)))) == {"no_consent"}


def test_a_withdrawal_blocks_its_purposes_and_no_others():
    both = consent(purposes=frozenset({"sft", "evaluation"}))
    facts = with_subject(consents=(both,), withdrawals=(Withdrawn(NOW - timedelta(days=1), frozenset({"sft"})),))
    facts = replace(facts, intended_purposes=("sft", "evaluation"))
    assert rules(judge(facts)) == {"consent_withdrawn"}
    assert judge(facts, purpose="evaluation").cleared


def test_consent_given_anew_after_a_withdrawal_clears():
    later = consent(record_id="c2", events=(Event(NOW - timedelta(hours=1), "ConsentGiven"),))
    withdrawn = (Withdrawn(NOW - timedelta(days=1), frozenset({"sft"})),)
    assert judge(with_subject(consents=(consent(), later), withdrawals=withdrawn)).cleared


def test_a_refusal_in_one_record_beats_an_older_grant_in_another():
    refused = consent(record_id="c2", events=(Event(NOW - timedelta(days=2), "ConsentRefused"),))
    assert rules(judge(with_subject(consents=(consent(), refused)))) == {"consent_refused"}


def test_a_legal_hold_never_lifts_a_refusal():
    found = judge(cleared_facts(legal_hold=True, erased=True))
    assert "legal_hold" in found.flags
    assert rules(found) == {"erased"}


def test_a_member_state_lies_within_the_union_and_not_the_other_way_round():
    assert judge(cleared_facts(), region="DE").cleared
    assert not judge(cleared_facts(processing_included=("DE",)), region="EU").cleared
    assert not judge(cleared_facts(), region="").cleared


TAKEN_AWAY: list[dict[str, Any]] = [
    {"source_system": ""}, {"source_record_id": ""}, {"content_sha256": ""}, {"origin_geography": ""},
    {"license_spdx": ""}, {"intended_purposes": ()}, {"personal_data": "unknown"}, {"processing_included": ()},
    {"storage_allowed": ()}, {"bases": ()}, {"subjects": (SubjectFacts(UID),)}, {"subjects": ()},
]

STATES = st.sampled_from(["ConsentGiven", "RenewedConsentGiven", *sorted(BLOCKING_STATES)])
EVENTS = st.lists(
    st.builds(Event, st.integers(-900, 30).map(lambda d: NOW + timedelta(days=d)), STATES,
              st.none() | st.integers(1, 3 * YEAR)), max_size=5,
).map(tuple)
CONSENTS = st.lists(
    st.builds(Consent, st.text("ab", min_size=1, max_size=3), st.sets(st.sampled_from(["sft", "evaluation"])).map(
        frozenset), st.sampled_from(["eu-gdpr:A6-1-a", "eu-gdpr:A6-1-f"]), EVENTS), max_size=3,
).map(tuple)
SUBJECTS = st.lists(st.builds(SubjectFacts, st.just(UID), CONSENTS), max_size=2).map(tuple)
LICENCES = st.sampled_from(["", "MIT", "CC0-1.0", "CC-BY-NC-4.0", "LicenseRef-x", "GPL-3.0-only", "what"])
PURPOSE_LISTS = st.sets(st.sampled_from(["sft", "evaluation"])).map(tuple)
REGION_LISTS = st.sampled_from([(), ("EU",), ("US",), ("*",), ("DE", "FR")])
FACTS = st.builds(
    cleared_facts, license_spdx=LICENCES, intended_purposes=PURPOSE_LISTS, prohibited_purposes=PURPOSE_LISTS,
    processing_included=REGION_LISTS, storage_allowed=REGION_LISTS, subjects=SUBJECTS,
    personal_data=st.sampled_from(["unknown", "none", "redacted", "cleared", "present"]),
    bases=st.sampled_from([(), (BASIS,)]), quarantined=st.booleans(), erased=st.booleans(),
    retention_until=st.none() | st.integers(-9, 9).map(lambda d: NOW + timedelta(days=d)),
)


@given(FACTS, st.lists(st.sampled_from(TAKEN_AWAY), min_size=1, max_size=4), st.booleans())
def test_taking_facts_away_never_clears(facts: RecordFacts, taken: list[dict[str, Any]], commercial: bool):
    if not judge(facts, commercial=commercial).cleared:
        for missing in taken:
            if missing.get("subjects") == () and facts.bases:
                continue  # a recorded basis is the one thing that clears without a subject, so it is no fact lost
            if "subjects" in missing and facts.bases and facts.subjects:
                continue  # taking away a person's refusal is taking away a prohibition, not a permission
            facts = replace(facts, **missing)
            assert not judge(facts, commercial=commercial).cleared


@given(FACTS)
def test_a_verdict_is_cleared_exactly_when_it_has_no_reason(facts: RecordFacts):
    found = judge(facts)
    assert found.cleared == (not found.reasons)
    assert rules(found) <= set(RULES)


@given(FACTS, st.randoms())
def test_the_order_of_subjects_consents_and_events_never_matters(facts: RecordFacts, random: Any):
    def shuffled(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(random.sample(items, len(items)))

    subjects = tuple(
        replace(s, consents=shuffled(tuple(replace(c, events=shuffled(c.events)) for c in s.consents)))
        for s in facts.subjects
    )
    assert judge(replace(facts, subjects=shuffled(subjects))) == judge(facts)


@given(FACTS, st.integers(0, 400))
def test_a_verdict_holds_until_it_says_it_may_change(facts: RecordFacts, days: int):
    found, later = judge(facts), NOW + timedelta(days=days)
    if found.expires_at is None or later < found.expires_at:
        assert verdict(facts, "sft", "EU", True, later).cleared == found.cleared


@given(FACTS)
def test_a_withdrawal_of_every_subject_always_blocks(facts: RecordFacts):
    said = (Withdrawn(NOW, frozenset({"sft"})),)
    subjects = tuple(replace(s, withdrawals=said) for s in facts.subjects)
    if subjects:
        assert not judge(replace(facts, subjects=subjects)).cleared
