"""What the tests of provenance share: drafts that clear, and consent in the import's form."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from provenance.models import ProvenanceRecord
from provenance.services import RecordDraft, consent_import, record_provenance_bulk
from tests.conftest import TESTER

AT = datetime(2026, 3, 1, tzinfo=UTC)


def draft(number: int = 1, **fields: Any) -> RecordDraft:
    """A record that clears for every purpose in the EU once its customer has consented."""
    good: dict[str, Any] = {
        "source_system": "acme", "source_record_id": f"t-{number}", "content_sha256": f"{number:064d}",
        "captured_at": AT, "captured_by": "user:1", "license_spdx": "CC-BY-4.0", "copyright": "Acme",
        "intended_purposes": ("sft", "continued_pretraining", "evaluation"), "origin_geography": "EU",
        "personal_data": "redacted", "storage_allowed": ("EU",), "processing_included": ("EU",),
        "subject_refs": (("acme", f"customer-{number}@example.org"),),
    }
    return RecordDraft(**(good | fields))


def consent_row(number: int = 1, state: str = "ConsentGiven", **fields: Any) -> dict[str, Any]:
    """A consent record of customer `number` in the import's form."""
    return {
        "namespace": "acme", "subject_ref": f"customer-{number}@example.org", "record_id": f"c-{number}",
        "purposes": ["sft", "continued_pretraining", "evaluation"], "lawful_basis": "eu-gdpr:A6-1-a",
        "events": [{
            "event_time": "2026-02-01T10:00:00Z", "event_type": "explicit", "event_state": state,
            "entity_id": "web-form", "validity_duration": "P5Y",
        }],
    } | fields


@pytest.fixture
def records(db: None) -> Callable[..., list[ProvenanceRecord]]:
    """Make `count` records; with consent of their customers unless `consent` is False."""

    def make(count: int = 1, *, consent: bool = True, **fields: Any) -> list[ProvenanceRecord]:
        made = record_provenance_bulk([draft(n, **fields) for n in range(1, count + 1)])
        if consent:
            consent_import(rows=[consent_row(n) for n in range(1, count + 1)], by=TESTER)
        return list(made.values())

    return make
