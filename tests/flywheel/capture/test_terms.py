"""A source's terms when they change: what reaches conversations that are here already."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from flywheel.audit.ledger import ledger_verify
from flywheel.capture import services
from flywheel.capture.models import Capture, Source
from flywheel.capture.services import normalize
from flywheel.core.errors import ValidationFailed
from flywheel.core.models import User
from flywheel.work.jobs import jobs_drain
from provenance.models import GateVerdict, ProvenanceRecord
from provenance.services import lawful_basis_record
from tests.flywheel.capture.conftest import ticket

pytestmark = pytest.mark.django_db

MakeSource = Callable[..., Source]


def deliver(source: Source, *payloads: dict[str, Any]) -> None:
    list(services.capture_bulk(source=source, lines=payloads, by=None))
    jobs_drain()


def record(number: int) -> ProvenanceRecord:
    return ProvenanceRecord.objects.get(source_record_id=f"T-{number}")


def cleared(number: int, purpose: str) -> bool:
    jobs_drain()
    return GateVerdict.objects.get(record=record(number), purpose=purpose, region="EU").cleared


def test_a_purpose_that_is_added_helps_what_is_here_as_the_gate_says_and_one_taken_back_stops_it(
    source: Source, admin: User
) -> None:
    lawful_basis_record(
        source_system="acme", basis="eu-gdpr:A6-1-f", purposes=["sft", "evaluation"], document="assessment", by=admin
    )
    deliver(source, ticket("T-1"))
    assert (cleared(1, "sft"), cleared(1, "evaluation")) == (True, False)
    fixes = [reason["fix"] for reason in GateVerdict.objects.get(purpose="evaluation").reasons]
    assert fixes == ["add 'evaluation' to the purposes of source 'acme'"]
    services.source_change(source=source, by=admin, purposes=["evaluation"])
    assert (cleared(1, "sft"), cleared(1, "evaluation")) == (False, True)
    assert ledger_verify().ok


def test_a_purpose_that_is_added_clears_nothing_without_a_basis(source: Source, admin: User) -> None:
    deliver(source, ticket("T-1"))
    services.source_change(source=source, by=admin, purposes=["sft", "evaluation"])
    assert not cleared(1, "evaluation")


def test_what_was_delivered_with_purposes_of_its_own_keeps_them(source: Source, admin: User) -> None:
    deliver(
        source, ticket("T-1", purposes=["preference"]), ticket("T-2", purposes=[]), ticket("T-3", purposes=None),
        ticket("T-4", 'They wrote {"purposes":["x"]} to me, and "purposes":[ too.'), ticket("T-5"),
        ticket("T-6", custom={"purposes": ["preference"]}),
    )
    services.source_change(source=source, by=admin, purposes=["evaluation"])
    assert [record(n).intended_purposes for n in range(1, 7)] == [["preference"], [], *[["evaluation"]] * 4]


def test_other_sources_keep_their_terms(source: Source, make_source: MakeSource, admin: User) -> None:
    other = make_source("other", retention_days=10)
    deliver(source, ticket("T-1"))
    deliver(other, ticket("T-2"))
    before = record(2)
    services.source_change(source=source, by=admin, purposes=["evaluation"], retention_days=5, license_spdx="MIT")
    after = record(2)
    assert (after.intended_purposes, after.retention_until) == (before.intended_purposes, before.retention_until)


def test_a_changed_retention_counts_from_each_conversation(source: Source, admin: User) -> None:
    now = timezone.now()
    deliver(source, ticket("T-1"), {"external_id": "T-2", "messages": [{"role": "customer", "text": "No date."}]})
    services.source_change(source=source, by=admin, retention_days=30)
    assert record(1).retention_until == datetime(2025, 3, 31, 9, 0, tzinfo=UTC)
    undated = record(2)
    assert undated.retention_until == undated.captured_at + timedelta(days=30) > now
    services.source_change(source=source, by=admin, retention_days=None)
    assert [record(n).retention_until for n in (1, 2)] == [None, None]


@pytest.mark.parametrize("year", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"])
def test_a_date_at_the_calendars_end_neither_lengthens_retention_nor_stops_the_others(
    year: str, make_source: MakeSource, admin: User
) -> None:
    source = make_source(retention_days=30)
    odd = ticket("T-1")
    odd["messages"][0]["at"] = odd["messages"][1]["at"] = year
    deliver(source, odd, ticket("T-2"))
    assert set(Capture.objects.values_list("status", flat=True)) == {"processed"}
    assert record(1).retention_until <= record(1).captured_at + timedelta(days=30)
    services.source_change(source=source, by=admin, retention_days=31)
    assert record(1).retention_until <= record(1).captured_at + timedelta(days=31)


@pytest.mark.parametrize("days", [0, 36_501, 2_147_483_647])
def test_a_retention_outside_a_century_is_refused(days: int, source: Source, admin: User) -> None:
    with pytest.raises(ValidationFailed, match="1 to 36500"):
        services.source_change(source=source, by=admin, retention_days=days)


def test_terms_that_change_while_a_batch_is_read_reach_it(source: Source, admin: User) -> None:
    list(services.capture_bulk(source=source, lines=[ticket("T-1")], by=None))
    captures = list(normalize.captures_waiting())
    prepared = normalize.prepare(captures)
    services.source_change(source=source, by=admin, license_spdx="CC-BY-ND-4.0", purposes=["evaluation"])
    normalize.prepared_store(prepared)
    assert (record(1).license_spdx, record(1).intended_purposes) == ("CC-BY-ND-4.0", ["evaluation"])
