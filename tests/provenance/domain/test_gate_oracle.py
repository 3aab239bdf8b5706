"""The gate beside a second reading of its rules, written from the sentences of docs/provenance.md and not from the code."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from provenance.domain.consent import Basis, Consent, Event, Withdrawn
from provenance.domain.gate import RULES, RecordFacts, SubjectFacts, nothing_left, purposes_refused, verdict
from provenance.domain.vocabulary import BLOCKING_STATES
from tests.provenance.domain.test_gate import NOW, UID, cleared_facts

LIVE = {"ConsentGiven", "RenewedConsentGiven"}
SAID_NO = {"ConsentWithdrawn", "ConsentRevoked", "ConsentRefused", "ConsentInvalidated"}
PURPOSES = ["sft", "preference", "continued_pretraining", "evaluation"]
REGIONS = ["EU", "DE", "US", "*", ""]
# licence -> (known, commercial use, derivatives, share-alike)
LICENCES = {
    "": (False, 0, 0, 0), "NOASSERTION": (False, 0, 0, 0), "Made-Up-1.0": (False, 0, 0, 0), "CC0-1.0": (True, 1, 1, 0),
    "MIT": (True, 1, 1, 0), "CC-BY-4.0": (True, 1, 1, 0), "CC-BY-SA-4.0": (True, 1, 1, 1), "CC-BY-NC-4.0": (True, 0, 1, 0),
    "CC-BY-ND-4.0": (True, 1, 0, 0), "CC-BY-NC-ND-4.0": (True, 0, 0, 0), "CC-BY-NC-SA-4.0": (True, 0, 1, 1),
    "LicenseRef-house": (True, 1, 1, 0),
}

days = st.integers(-40, 40).map(lambda d: NOW + timedelta(days=d))
some = st.sets(st.sampled_from(PURPOSES)).map(frozenset)
places = st.lists(st.sampled_from(["EU", "DE", "US", "*"]), max_size=2, unique=True).map(tuple)
events = st.lists(
    st.builds(Event, days, st.sampled_from(sorted(LIVE | BLOCKING_STATES)), st.none() | st.integers(1, 60 * 86400)),
    max_size=4, unique_by=lambda e: e.at,
).map(tuple)
consents = st.lists(
    st.builds(Consent, st.just("c"), some, st.sampled_from(["eu-gdpr:A6-1-a", "eu-gdpr:A6-1-b"]), events, places), max_size=2
).map(tuple)
withdrawals = st.lists(st.builds(Withdrawn, days, some), max_size=1).map(tuple)
bases = st.lists(
    st.builds(Basis, st.sampled_from(["eu-gdpr:A6-1-f", "eu-gdpr:A6-1-a"]), some, st.sampled_from(["", "LIA-1"]),
              st.none() | days, st.none() | days, st.sampled_from(["acme", "other"])), max_size=1,
).map(tuple)
subjects = st.lists(st.builds(SubjectFacts, st.just(UID), consents, bases, withdrawals), max_size=2).map(tuple)
facts_of = st.builds(
    cleared_facts, source_system=st.sampled_from(["acme", ""]), origin_geography=st.sampled_from(["EU", ""]),
    license_spdx=st.sampled_from(list(LICENCES)), intended_purposes=some.map(tuple), prohibited_purposes=some.map(tuple),
    personal_data=st.sampled_from(["unknown", "none", "redacted", "cleared", "present", "what"]),
    processing_included=places, processing_excluded=places, storage_allowed=places, storage_forbidden=places,
    retention_until=st.none() | days, legal_hold=st.booleans(), quarantined=st.booleans(), erased=st.booleans(),
    subjects=subjects, bases=bases,
)


def inside(region: str, outer: tuple[str, ...]) -> bool:
    """Only the regions of this file: the EU holds DE, everywhere holds all, nothing holds the empty region."""
    return bool(region) and any(o in ("*", region) or (o, region) == ("EU", "DE") for o in outer)


def touches(region: str, others: tuple[str, ...]) -> bool:
    return any(inside(region, (o,)) or inside(o, (region,)) for o in others)


def at_of(consent: Consent, now: datetime) -> Event | None:
    return max((e for e in consent.events if e.at <= now), key=lambda e: e.at, default=None)


def said_no_last(person: SubjectFacts, purpose: str, now: datetime) -> datetime | None:
    mine = [c for c in person.consents if purpose in c.purposes and c.lawful_basis == "eu-gdpr:A6-1-a"]
    times = [e.at for c in mine for e in c.events if e.at <= now and e.state in SAID_NO]
    times += [w.at for w in person.withdrawals if w.at <= now and purpose in w.purposes]
    return max(times, default=None)


def consents_now(person: SubjectFacts, purpose: str, region: str, now: datetime) -> bool:
    """A live consent for the purpose, in the region, newer than every no."""
    no = said_no_last(person, purpose, now)
    for consent in person.consents:
        event = at_of(consent, now)
        if purpose in consent.purposes and consent.lawful_basis == "eu-gdpr:A6-1-a" and event and event.state in LIVE:
            ends = None if event.validity_seconds is None else event.at + timedelta(seconds=event.validity_seconds)
            fresh = (ends is None or ends > now) and (no is None or event.at > no)
            if fresh and (not consent.regions or inside(region, consent.regions)):
                return True
    return False


def other_basis(found: tuple[Basis, ...], facts: RecordFacts, purpose: str, now: datetime) -> bool:
    return any(
        b.source_system == facts.source_system and purpose in b.purposes and b.document and b.basis != "eu-gdpr:A6-1-a"
        and (b.valid_until is None or b.valid_until > now) and (b.revoked_at is None or b.revoked_at > now) for b in found
    )


def lawful(facts: RecordFacts, purpose: str, region: str, now: datetime) -> bool:
    whole = other_basis(facts.bases, facts, purpose, now)
    if not facts.subjects:
        return whole
    return all(
        consents_now(p, purpose, region, now)
        or (said_no_last(p, purpose, now) is None and (whole or other_basis(p.bases, facts, purpose, now)))
        for p in facts.subjects
    )


def may_teach(facts: RecordFacts, purpose: str, region: str, commercial: bool, now: datetime) -> bool:
    known, sold, derived, _ = LICENCES[facts.license_spdx]
    return (
        all([facts.source_system, facts.source_record_id, facts.content_sha256, facts.origin_geography])
        and bool(known and derived and (sold or not commercial))
        and purpose in facts.intended_purposes and purpose not in facts.prohibited_purposes
        and inside(region, facts.processing_included) and not touches(region, facts.processing_excluded)
        and inside(region, facts.storage_allowed) and not touches(region, facts.storage_forbidden)
        and facts.personal_data in ("none", "redacted", "cleared")
        and (facts.retention_until is None or facts.retention_until > now)
        and not facts.quarantined and not facts.erased and lawful(facts, purpose, region, now)
    )


@settings(max_examples=4 * settings().max_examples)
@given(facts_of, st.sampled_from(PURPOSES), st.sampled_from(REGIONS), st.booleans())
def test_the_gate_clears_exactly_what_the_sentences_allow(
    facts: RecordFacts, purpose: str, region: str, commercial: bool
):
    found = verdict(facts, purpose, region, commercial, NOW)
    assert found.cleared == may_teach(facts, purpose, region, commercial, NOW), found.reasons


# Facts under which most of a record is right, so that one rule is what decides.
nearly = st.builds(
    cleared_facts, license_spdx=st.sampled_from(list(LICENCES)), intended_purposes=st.just(tuple(PURPOSES)),
    subjects=subjects, bases=bases, quarantined=st.just(False), retention_until=st.none(),
    processing_included=st.just(("*",)), storage_allowed=st.just(("*",)),
)


@settings(max_examples=6 * settings().max_examples)
@given(nearly, st.sampled_from(PURPOSES), st.sampled_from(["EU", "DE", "US"]), st.booleans())
def test_licence_consent_and_basis_alone_decide_as_the_sentences_say(
    facts: RecordFacts, purpose: str, region: str, commercial: bool
):
    found = verdict(facts, purpose, region, commercial, NOW)
    assert found.cleared == may_teach(facts, purpose, region, commercial, NOW), found.reasons
    known, _, _, share_alike = LICENCES[facts.license_spdx]
    assert ("share_alike" in found.flags) == bool(known and share_alike)


@given(facts_of, st.sampled_from(PURPOSES), st.sampled_from(REGIONS), st.booleans())
def test_every_reason_names_rule_value_and_mend_and_nobody(
    facts: RecordFacts, purpose: str, region: str, commercial: bool
):
    for reason in verdict(facts, purpose, region, commercial, NOW).reasons:
        assert reason.rule in RULES
        assert reason.value
        assert reason.fix


@given(facts_of, st.sampled_from(PURPOSES), st.sampled_from(REGIONS))
def test_a_legal_hold_changes_no_answer(facts: RecordFacts, purpose: str, region: str):
    answers = [verdict(replace(facts, legal_hold=hold), purpose, region, True, NOW) for hold in (True, False)]
    assert answers[0].reasons == answers[1].reasons


# -- what a refusal leaves -------------------------------------------------------------------------------------------
@settings(max_examples=3 * settings().max_examples)
@given(nearly)
def test_what_is_refused_is_what_somebody_said_no_to_without_a_newer_yes(facts: RecordFacts):
    expected = {
        purpose for purpose in PURPOSES for person in facts.subjects
        if said_no_last(person, purpose, NOW) is not None and not consents_now(person, purpose, "EU", NOW)
    }
    assert purposes_refused(facts, ["EU"], NOW) == expected


@settings(max_examples=3 * settings().max_examples)
@given(nearly)
def test_nothing_is_left_only_where_no_purpose_is_lawful_anywhere(facts: RecordFacts):
    if nothing_left(facts, ["EU"], NOW):
        assert not any(lawful(facts, purpose, region, NOW) for purpose in PURPOSES for region in ("EU", "DE", "US"))
        assert any(said_no_last(person, purpose, NOW) for person in facts.subjects for purpose in PURPOSES)

