"""The gate: may a record be used for a purpose in a region? A pure function over plain facts. It denies by default.

Every missing fact is a reason to refuse. A verdict lists all reasons, each with the value seen and the fix.
docs/provenance.md lists the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from provenance.domain.consent import Basis, Consent, Standing, Withdrawn, basis_end, basis_holds, subject_standing
from provenance.domain.licences import Terms, licence_terms
from provenance.domain.regions import region_within, regions_overlap
from provenance.domain.vocabulary import PURPOSES, REFUSING_STATES


@dataclass(frozen=True, slots=True)
class SubjectFacts:
    """A person whose data it is. Only the uid may appear in a verdict, because pages and exports show verdicts."""

    # Not the source's name for the person, because verdicts are shown on pages and exported with snapshots, and
    # personal data in them could not be erased again.
    uid: str
    consents: tuple[Consent, ...] = ()
    bases: tuple[Basis, ...] = ()
    withdrawals: tuple[Withdrawn, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """The facts of one record. `bases` are those recorded for its whole source system."""

    uid: str
    source_system: str = ""
    source_record_id: str = ""
    content_sha256: str = ""
    origin_geography: str = ""
    license_spdx: str = ""
    intended_purposes: tuple[str, ...] = ()
    prohibited_purposes: tuple[str, ...] = ()
    personal_data: str = "unknown"
    processing_included: tuple[str, ...] = ()
    processing_excluded: tuple[str, ...] = ()
    storage_allowed: tuple[str, ...] = ()
    storage_forbidden: tuple[str, ...] = ()
    retention_until: datetime | None = None
    legal_hold: bool = False
    quarantined: bool = False
    quarantine_reason: str = ""
    erased: bool = False
    subjects: tuple[SubjectFacts, ...] = ()
    bases: tuple[Basis, ...] = ()


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked: the purpose, the region, whether use is commercial, and the moment."""

    purpose: str
    region: str
    commercial: bool
    now: datetime


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a record is refused: the rule's id, the value seen, and how to fix it."""

    rule: str
    value: str
    fix: str

    def to_json(self) -> dict[str, str]:
        """The reason as JSON values."""
        return {"rule": self.rule, "value": self.value, "fix": self.fix}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Cleared without reasons. expires_at: when time alone may change the answer; None for never."""

    cleared: bool
    reasons: tuple[Reason, ...]
    flags: tuple[str, ...]
    expires_at: datetime | None


SHARE_ALIKE = "share_alike"
ATTRIBUTION = "attribution"
LEGAL_HOLD = "legal_hold"

CONSENT_RULES = {
    "ConsentExpired": "consent_expired", "ConsentWithdrawn": "consent_withdrawn",
    "ConsentRefused": "consent_refused", "ConsentRevoked": "consent_revoked",
    "ConsentInvalidated": "consent_invalidated", "ConsentRequested": "consent_requested",
    "ConsentRequestDeferred": "consent_deferred", "ConsentUnknown": "consent_unknown",
    "OutsideRegion": "consent_outside_region", "": "no_consent",
}
"""The rule that refuses for each consent state that is not live."""

RULES: dict[str, str] = {
    "origin_unknown": "Origin is not known",
    "licence_unknown": "Licence is not known",
    "licence_forbids_purpose": "Licence forbids this use",
    "purpose_unknown": "Purpose is not known",
    "purpose_not_intended": "Purpose was not intended",
    "purpose_prohibited": "Purpose is prohibited",
    "no_consent": "No consent record",
    "consent_expired": "Consent has expired",
    "consent_withdrawn": "Consent was withdrawn",
    "consent_refused": "Consent was refused",
    "consent_revoked": "Consent was revoked",
    "consent_invalidated": "Consent is invalid",
    "consent_requested": "Consent was asked for, not given",
    "consent_deferred": "Consent was deferred",
    "consent_unknown": "Consent is not known",
    "consent_outside_region": "Consent does not cover the region",
    "basis_not_recorded": "No lawful basis recorded",
    "region_not_allowed": "Region is not allowed",
    "personal_data_unknown": "Personal data not looked for",
    "personal_data_unredacted": "Personal data not redacted",
    "retention_passed": "Retention has passed",
    "quarantined": "Quarantined by a steward",
    "erased": "Erased",
}
"""Every rule with its display name, in the order in which reasons are listed."""


def verdict(facts: RecordFacts, purpose: str, region: str, commercial: bool, now: datetime) -> Verdict:
    """Judge one record. Never raises: an unknown purpose or region is a reason to refuse."""
    # All rules are asked, also after the first refusal, because a steward who fixes one reason must not find the next
    # one only at the following build.
    question = Question(purpose, region, commercial, now)
    standings = [(s, _standing(s, purpose, region, now)) for s in facts.subjects]
    terms = _best_terms(facts.license_spdx, commercial)
    reasons = tuple(
        reason for rule in _RULES for reason in rule(facts, question)
    ) + tuple(_licence(facts, question, terms)) + tuple(_lawful(facts, question, standings))
    return Verdict(
        cleared=not reasons, reasons=tuple(sorted(reasons, key=lambda r: (_ORDER[r.rule], r.value))),
        flags=_flags(facts, terms), expires_at=_expiry(facts, question, standings),
    )


MOST_ENDS = 32


def cleared_until(facts: RecordFacts, purpose: str, region: str, commercial: bool, now: datetime) -> datetime | None:
    """When a record that is cleared now stops being cleared by itself. None for never, `now` when it is refused.

    One of several consents may end while another continues, so each moment at which time may change the answer is
    tried, up to `MOST_ENDS` of them.
    """
    at: datetime | None = now
    # Bounded, because each try judges the record again; when the bound is reached the last moment tried is returned,
    # which errs towards asking the gate again too early.
    for _ in range(MOST_ENDS):
        found = verdict(facts, purpose, region, commercial, at or now)
        if not found.cleared:
            return at
        at = found.expires_at
        if at is None:
            return None
    return at


_ORDER = {rule: position for position, rule in enumerate(RULES)}


def _flags(facts: RecordFacts, terms: Terms | None) -> tuple[str, ...]:
    # A legal hold is a flag and not a reason, because it forbids deletion and says nothing about use.
    flags = [LEGAL_HOLD] if facts.legal_hold else []
    if terms is not None:
        flags += [ATTRIBUTION] * terms.attribution + [SHARE_ALIKE] * terms.share_alike
    return tuple(sorted(flags))


def _origin(facts: RecordFacts, question: Question) -> Iterator[Reason]:
    missing = [
        name for name in ("source_system", "source_record_id", "content_sha256", "origin_geography")
        if not getattr(facts, name)
    ]
    if missing:
        yield Reason("origin_unknown", f"no {', no '.join(missing)}", "record these fields at its source")


def _purpose(facts: RecordFacts, question: Question) -> Iterator[Reason]:
    purpose = question.purpose
    if purpose not in PURPOSES:
        yield Reason("purpose_unknown", purpose, f"ask for one of {', '.join(PURPOSES)}")
    # An empty list allows nothing: purpose limitation (GDPR article 5(1)(b)) asks for a stated purpose, so silence of
    # the source is not permission.
    if purpose not in facts.intended_purposes:
        seen = ", ".join(facts.intended_purposes) or "none"
        yield Reason("purpose_not_intended", seen, f"add {purpose!r} to the purposes of source {facts.source_system!r}")
    if purpose in facts.prohibited_purposes:
        yield Reason("purpose_prohibited", purpose, f"source {facts.source_system!r} prohibits it; use other data")


def _region(facts: RecordFacts, question: Question) -> Iterator[Reason]:
    for name, allowed, forbidden in (
        ("processing", facts.processing_included, facts.processing_excluded),
        ("storage", facts.storage_allowed, facts.storage_forbidden),
    ):
        # Overlap and not containment, because a snapshot for the EU is also used in Germany, where a source may forbid
        # it.
        if regions_overlap(question.region, forbidden):
            value = f"{name} forbidden in {', '.join(forbidden)}"
            yield Reason("region_not_allowed", value, "freeze in another region")
        elif not region_within(question.region, allowed):
            yield Reason(
                "region_not_allowed", f"{name} allowed in {', '.join(allowed) or 'no region'}",
                f"freeze there, or allow {question.region!r} at source {facts.source_system!r}",
            )


def _personal_data(facts: RecordFacts, question: Question) -> Iterator[Reason]:
    if facts.personal_data == "present":
        yield Reason("personal_data_unredacted", "present", "redact it, or have a steward clear its use")
    # Every other value counts as not searched, so that a value that is added to the model later cannot clear by
    # accident.
    elif facts.personal_data not in ("none", "redacted", "cleared"):
        yield Reason("personal_data_unknown", facts.personal_data, "run the search for personal data")


def _keeping(facts: RecordFacts, question: Question) -> Iterator[Reason]:
    if facts.retention_until is not None and facts.retention_until <= question.now:
        until = f"{facts.retention_until:%Y-%m-%d}"
        yield Reason("retention_passed", until, "use newer data, or lengthen its retention")
    if facts.quarantined:
        yield Reason("quarantined", facts.quarantine_reason or "no reason given", "a steward may release it")
    if facts.erased:
        yield Reason("erased", "its content is gone", "none; the content cannot be restored")


_RULES: tuple[Callable[[RecordFacts, Question], Iterator[Reason]], ...] = (
    _origin, _purpose, _region, _personal_data, _keeping,
)


def _best_terms(spdx: str, commercial: bool) -> Terms | None:
    """The alternative of an SPDX expression that permits the use, if any, with the fewest duties."""
    options = licence_terms(spdx)
    if not options:
        return None
    # An OR leaves the choice to the licensee. The alternative that permits the use is taken first, and among several
    # the one with the fewest duties, because every duty becomes a flag of the snapshot.
    return min(options, key=lambda t: (not _permits(t, commercial), t.own_terms, t.share_alike, t.attribution))


def _permits(terms: Terms, commercial: bool) -> bool:
    return terms.derivatives and (terms.commercial or not commercial)


def _licence(facts: RecordFacts, question: Question, terms: Terms | None) -> Iterator[Reason]:
    spdx = facts.license_spdx
    if terms is None:
        yield Reason("licence_unknown", spdx or "none", f"state the licence of source {facts.source_system!r} (SPDX)")
        return
    if not terms.derivatives:
        yield Reason("licence_forbids_purpose", f"{spdx}: no derivatives", "ask the owner for other terms")
    if question.commercial and not terms.commercial:
        yield Reason(
            "licence_forbids_purpose", f"{spdx}: not for commercial use",
            "freeze for non-commercial use, or ask the owner for other terms",
        )
    # LicenseRef terms cannot be read by a program. The source's list of purposes is then all that is known of them, so
    # a purpose that is not on it is also a question of the licence.
    if terms.own_terms and question.purpose not in facts.intended_purposes:
        yield Reason(
            "licence_forbids_purpose", f"{spdx}: purpose not listed",
            f"list {question.purpose!r} among the purposes its terms allow",
        )


def _lawful(
    facts: RecordFacts, question: Question, standings: list[tuple[SubjectFacts, Standing]]
) -> Iterator[Reason]:
    whole_source = _basis(facts.bases, facts.source_system, question)
    # Consent belongs to a person, and none is named here, so only a basis that was reviewed for the whole source can
    # allow the use.
    if not standings and not whole_source:
        yield Reason(
            "basis_not_recorded", "no subject and no basis",
            f"name the subjects, or record a lawful basis of source {facts.source_system!r} for {question.purpose!r}",
        )
    for subject, standing in standings:
        own = _basis(subject.bases, facts.source_system, question)
        yield from _subject(subject, standing, question, own, whole_source)


def _basis(bases: tuple[Basis, ...], source_system: str, question: Question) -> bool:
    return any(basis_holds(b, source_system, question.purpose, question.now) for b in bases)


def _subject(
    subject: SubjectFacts, standing: Standing, question: Question, own: bool, whole_source: bool
) -> Iterator[Reason]:
    if standing.live:
        return
    # Another basis must not overrule a person's refusal.
    if (own or whole_source) and standing.state not in REFUSING_STATES:
        return
    since = f" since {standing.since:%Y-%m-%d}" if standing.since else ""
    fix = (
        "only a newer consent of this person can fix this" if standing.state in REFUSING_STATES
        else f"record consent for {question.purpose!r}, or another lawful basis"
    )
    yield Reason(CONSENT_RULES.get(standing.state, "consent_unknown"), f"subject {subject.uid}{since}", fix)
    # Without this reason the page would only ask for consent, although the person has a basis whose end or document is
    # what needs the fix.
    if subject.bases and not own and not standing.state:
        yield Reason(
            "basis_not_recorded", f"subject {subject.uid}: no recorded basis holds", "record one that is valid now"
        )


def _expiry(
    facts: RecordFacts, question: Question, standings: list[tuple[SubjectFacts, Standing]]
) -> datetime | None:
    ends = [standing.until for _, standing in standings]
    # Bases that do not matter today are counted too: a verdict that expires too early costs one more judgement, and one
    # that expires too late would clear without a basis.
    ends += [basis_end(b, question.now) for b in facts.bases]
    ends += [basis_end(b, question.now) for s in facts.subjects for b in s.bases]
    if facts.retention_until is not None and facts.retention_until > question.now:
        ends.append(facts.retention_until)
    return min((end for end in ends if end is not None), default=None)


# -- what a refusal leaves ---------------------------------------------------------------------------------------------
def purposes_refused(facts: RecordFacts, regions: Iterable[str], now: datetime) -> frozenset[str]:
    """Purposes that a subject of this record refused in any of these regions, without a newer consent."""
    places = tuple(regions)
    return frozenset(
        purpose for purpose in PURPOSES for region in places for subject in facts.subjects
        if _standing(subject, purpose, region, now).state in REFUSING_STATES
    )


def nothing_left(facts: RecordFacts, regions: Iterable[str], now: datetime) -> bool:
    """Whether a subject refused and no use remains: no consent or other basis allows any intended purpose.

    Checked for these regions and for those that a consent of the record is restricted to.
    """
    # The regions of consents are tried too, because consent for one country keeps an example in use there although no
    # judged region allows it.
    places = dict.fromkeys([*regions, *(r for s in facts.subjects for c in s.consents for r in c.regions)])
    if not purposes_refused(facts, places, now):
        return False
    # Prohibited purposes are no remaining use: an example that is kept only for them would stay in annotation although
    # nothing can be made of it.
    meant = [p for p in facts.intended_purposes if p not in facts.prohibited_purposes]
    return not any(_is_lawful(facts, Question(p, region, True, now)) for p in meant for region in places)


def _is_lawful(facts: RecordFacts, question: Question) -> bool:
    standings = [(s, _standing(s, question.purpose, question.region, question.now)) for s in facts.subjects]
    return not any(_lawful(facts, question, standings))


def _standing(subject: SubjectFacts, purpose: str, region: str, now: datetime) -> Standing:
    return subject_standing(subject.consents, subject.withdrawals, purpose=purpose, region=region, now=now)
