"""Consent over time, durations and regions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from provenance.domain.consent import Event, record_standing
from provenance.domain.durations import duration_seconds
from provenance.domain.regions import region_within, regions_overlap

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = 86400


def ago(days: int) -> datetime:
    return NOW - timedelta(days=days)


def test_no_event_is_nothing_said():
    assert record_standing([], NOW).state == ""


def test_the_newest_event_that_has_happened_decides():
    events = [Event(ago(3), "ConsentGiven"), Event(ago(2), "ConsentWithdrawn"), Event(ago(1), "RenewedConsentGiven")]
    assert record_standing(events, NOW).live
    assert record_standing(events, ago(2)).state == "ConsentWithdrawn"
    assert record_standing(events, ago(9)).state == "ConsentUnknown"


def test_at_the_same_instant_the_block_wins():
    events = [Event(ago(1), "ConsentWithdrawn"), Event(ago(1), "ConsentGiven")]
    assert record_standing(events, NOW).state == record_standing(events[::-1], NOW).state == "ConsentWithdrawn"


def test_of_two_grants_at_the_same_instant_the_shorter_holds():
    events = [Event(ago(1), "ConsentGiven", 9 * DAY), Event(ago(1), "RenewedConsentGiven", 3 * DAY)]
    assert record_standing(events, NOW).until == NOW + timedelta(days=2)


def test_consent_ends_on_its_last_second():
    events = [Event(ago(10), "ConsentGiven", 10 * DAY)]
    assert record_standing(events, NOW - timedelta(microseconds=1)).live
    assert record_standing(events, NOW).state == "ConsentExpired"


def test_an_event_still_to_come_says_when_to_look_again():
    events = [Event(ago(1), "ConsentGiven"), Event(NOW + timedelta(days=5), "ConsentWithdrawn")]
    assert record_standing(events, NOW).until == NOW + timedelta(days=5)


def test_a_validity_beyond_the_calendar_never_ends():
    assert record_standing([Event(ago(1), "ConsentGiven", 10**12)], NOW).until is None


@pytest.mark.parametrize(("text", "days"), [
    ("P1D", 1), ("P2W", 14), ("P1Y", 365), ("P1M", 30), ("PT36H", 1.5), ("P1DT12H", 1.5), ("P0Y1D", 1),
])
def test_durations_run_on_the_calendar(text: str, days: float):
    assert duration_seconds(text, start=NOW) == days * DAY


def test_the_31st_plus_a_month_is_the_months_last_day():
    assert duration_seconds("P1M", start=datetime(2027, 1, 31, tzinfo=UTC)) == 28 * DAY


@pytest.mark.parametrize("text", ["", "P", "PT", "1Y", "P1S", "P-1D", "P1.5D", "P0D", "P9999Y", "P1Yx"])
def test_what_is_no_duration_is_refused_with_an_example(text: str):
    with pytest.raises(ValueError, match=r"write|shorter|longer"):
        duration_seconds(text, start=NOW)


def test_regions_contain_their_parts():
    assert region_within("de", ["EU"])
    assert region_within("NO", ["EEA"])
    assert region_within("EU", ["EEA"])
    assert region_within("US-CA", ["US"])
    assert region_within("BR", ["*"])
    assert not region_within("CH", ["EU"])
    assert not region_within("", ["*"])
    assert not region_within("EU", [])


def test_what_is_forbidden_in_a_part_is_not_done_in_the_whole():
    assert regions_overlap("EU", ["FR"])
    assert regions_overlap("FR", ["EU"])
    assert not regions_overlap("US", ["FR"])
