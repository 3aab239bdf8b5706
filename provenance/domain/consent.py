"""What consent records and other lawful bases allow at a moment. The order in which events arrived has no effect.

Times are aware datetimes. Consent records follow ISO/IEC TS 27560, states follow W3C DPV.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from provenance.domain.regions import region_within
from provenance.domain.vocabulary import LIVE_STATES, REFUSING_STATES, is_consent_basis


@dataclass(frozen=True, slots=True)
class Event:
    """One consent event: when it happened, the state it brought, and its validity in seconds (None: without end)."""

    at: datetime
    state: str
    validity_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Consent:
    """One consent record. `regions` restricts where the data may be used; empty means no restriction."""

    record_id: str
    purposes: frozenset[str]
    lawful_basis: str
    events: tuple[Event, ...] = ()
    regions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Basis:
    """A recorded lawful basis other than consent, for records of `source_system`."""

    basis: str
    purposes: frozenset[str]
    document: str
    valid_until: datetime | None = None
    revoked_at: datetime | None = None
    source_system: str = ""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A withdrawal: every consent given before `at` for these purposes no longer holds."""

    at: datetime
    purposes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds at a moment.

    state: the DPV state, "" without any record. since: when it began. until: when it ends by itself or through an event
    that is recorded for later; None for never.
    """

    state: str
    since: datetime | None = None
    until: datetime | None = None

    @property
    def live(self) -> bool:
        """Whether this allows use now."""
        return self.state in LIVE_STATES


def record_standing(events: Iterable[Event], now: datetime) -> Standing:
    """The state of one consent record at `now`.

    The newest event that has happened decides. Of several at the same instant a blocking one wins, and of several
    grants the one that ends first, because the order of arrival must not matter.
    """
    known = list(events)
    past = [event for event in known if event.at <= now]
    # An event may be recorded ahead of its time. The standing then ends when it comes, although no job writes anything
    # at that moment.
    upcoming = min((event.at for event in known if event.at > now), default=None)
    if not past:
        # Events that all lie in the future are not the same as no record: the rule is then `consent_unknown` and not
        # `no_consent`, so that a steward sees that a record exists.
        return Standing("ConsentUnknown" if known else "", until=upcoming)
    event = max(past, key=_decides)
    end = _event_end(event)
    if event.state in LIVE_STATES and end is not None and end <= now:
        return Standing("ConsentExpired", since=end, until=upcoming)
    return Standing(event.state, since=event.at, until=_earliest(end, upcoming))


def _decides(event: Event) -> tuple[datetime, bool, float, str]:
    # The state's name is the last key, so that two events that agree in everything else are ordered alike in every
    # process.
    ends = float("inf") if event.validity_seconds is None else event.validity_seconds
    return event.at, event.state not in LIVE_STATES, -ends, event.state


def _event_end(event: Event) -> datetime | None:
    if event.state not in LIVE_STATES or event.validity_seconds is None:
        return None
    # A validity beyond year 9999 cannot be represented; it counts as without end.
    try:
        return event.at + timedelta(seconds=event.validity_seconds)
    except OverflowError:
        return None


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((m for m in moments if m is not None), default=None)


def subject_standing(
    consents: Iterable[Consent], withdrawals: Iterable[Withdrawn], *, purpose: str, region: str, now: datetime
) -> Standing:
    """What a person's records and withdrawals together allow for one purpose in one region at `now`.

    A refusal (withdrawn, revoked, refused, invalidated) in any record covering the purpose beats every grant that is
    not newer. Otherwise one live record suffices. A record whose basis is not consent is ignored.
    """
    # Records of another lawful basis are left out, because they have no state that a person's refusal could change;
    # they are judged as bases.
    relevant = [c for c in consents if purpose in c.purposes and is_consent_basis(c.lawful_basis)]
    standings = [(consent, record_standing(consent.events, now)) for consent in relevant]
    refusal = _latest_refusal(relevant, withdrawals, purpose, now)
    live = [
        s for consent, s in standings
        if s.live and region_within(region, consent.regions or (region,)) and (refusal is None or _after(s, refusal))
    ]
    # Over all records and not only the one that is live, because the end of a blocking state may also change the
    # answer.
    until = _earliest(*(s.until for _, s in standings))
    if live:
        # The record that lasts longest is shown, because the person's other consents do not shorten it.
        best = max(live, key=lambda s: (s.until is None, s.until or now, s.since or now))
        return Standing(best.state, best.since, until)
    if refusal is not None:
        return Standing(refusal.state, refusal.since, until)
    blocking = [s for _, s in standings if not s.live and s.state]
    if blocking:
        # A state without a date is older than any with one, because a date is only missing where no event has happened
        # yet.
        newest = max(blocking, key=lambda s: (s.since is not None, s.since or now, s.state))
        return Standing(newest.state, newest.since, until)
    return Standing("OutsideRegion" if any(s.live for _, s in standings) else "", until=until)


def _after(standing: Standing, refusal: Standing) -> bool:
    return standing.since is not None and refusal.since is not None and standing.since > refusal.since


def _latest_refusal(
    consents: Iterable[Consent], withdrawals: Iterable[Withdrawn], purpose: str, now: datetime
) -> Standing | None:
    # At the same instant the event's state is preferred to the withdrawal it caused, because it is more exact.
    refusals = [
        (event.at, 1, event.state) for c in consents for event in c.events
        if event.at <= now and event.state in REFUSING_STATES
    ]
    refusals += [(w.at, 0, "ConsentWithdrawn") for w in withdrawals if w.at <= now and purpose in w.purposes]
    if not refusals:
        return None
    at, _, state = max(refusals)
    return Standing(state, since=at)


def basis_holds(basis: Basis, source_system: str, purpose: str, now: datetime) -> bool:
    """Whether a recorded basis other than consent allows `purpose` at `now`. One without a document never does."""
    if basis.source_system != source_system or purpose not in basis.purposes:
        return False
    # A legitimate interest or contract must be shown on request (GDPR article 5(2)). Consent has its own records with
    # events, and entering it here would hide a withdrawal.
    if not basis.document or is_consent_basis(basis.basis):
        return False
    if basis.revoked_at is not None and basis.revoked_at <= now:
        return False
    return basis.valid_until is None or basis.valid_until > now


def basis_end(basis: Basis, now: datetime) -> datetime | None:
    """When a basis that holds now ends by itself. None for never."""
    return _earliest(*(m for m in (basis.valid_until, basis.revoked_at) if m is not None and m > now))
