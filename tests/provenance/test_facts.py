"""Every column that the gate reads reaches it from the database, and each wrong one is its own reason."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from flywheel.core.actors import SYSTEM
from provenance import services
from provenance.models import ConsentEvent, ConsentRecord, LawfulBasis, ProvenanceRecord
from provenance.selectors import record_facts

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def rules_of(record: ProvenanceRecord) -> set[str]:
    found = services.gate_judge([record.pk], purpose="sft", region="EU")[record.pk]
    return {reason.rule for reason in found.reasons}


@pytest.mark.parametrize(("column", "value", "rules"), [
    ("origin_geography", "", {"origin_unknown"}), ("content_sha256", "", {"origin_unknown"}),
    ("license_spdx", "", {"licence_unknown"}), ("license_spdx", "CC-BY-ND-4.0", {"licence_forbids_purpose"}),
    ("license_spdx", "CC-BY-NC-4.0", {"licence_forbids_purpose"}), ("license_spdx", "CC-BY-SA-4.0", set()),
    ("intended_purposes", [], {"purpose_not_intended"}), ("intended_purposes", ["evaluation"], {"purpose_not_intended"}),
    ("prohibited_purposes", ["sft"], {"purpose_prohibited"}), ("prohibited_purposes", ["evaluation"], set()),
    ("processing_included", [], {"region_not_allowed"}), ("processing_excluded", ["DE"], {"region_not_allowed"}),
    ("storage_allowed", ["US"], {"region_not_allowed"}), ("storage_forbidden", ["*"], {"region_not_allowed"}),
    ("personal_data", "unknown", {"personal_data_unknown"}), ("personal_data", "present", {"personal_data_unredacted"}),
    ("personal_data", "cleared", set()), ("personal_data", "none", set()),
    ("retention_until", timezone.now() - HOUR, {"retention_passed"}), ("retention_until", timezone.now() + HOUR, set()),
    ("quarantined_at", timezone.now(), {"quarantined"}), ("erased_at", timezone.now(), {"erased"}),
    ("legal_hold", True, set()),
])
def test_each_column_decides_as_its_rule_says(records, column: str, value: Any, rules: set[str]):
    (record,) = records(1)
    assert rules_of(record) == set()
    ProvenanceRecord.objects.filter(pk=record.pk).update(**{column: value})
    assert rules_of(record) == rules


@pytest.mark.parametrize(("changed", "rules"), [
    ({"purposes": ["evaluation"]}, {"no_consent"}), ({"lawful_basis": "eu-gdpr:A6-1-b"}, {"no_consent"}),
    ({"geographic_restrictions": ["US"]}, {"consent_outside_region"}), ({"geographic_restrictions": ["EU"]}, set()),
])
def test_each_column_of_a_consent_decides(records, changed: dict[str, Any], rules: set[str]):
    (record,) = records(1)
    ConsentRecord.objects.update(**changed)
    assert rules_of(record) == rules


@pytest.mark.parametrize(("changed", "rules"), [
    ({"validity_seconds": 1}, {"consent_expired"}), ({"validity_seconds": None}, set()),
    ({"event_time": timezone.now() + HOUR}, {"consent_unknown"}), ({"event_state": "ConsentRequested"}, {"consent_requested"}),
])
def test_each_column_of_a_consents_event_decides(records, changed: dict[str, Any], rules: set[str]):
    (record,) = records(1)
    ConsentEvent.objects.update(**changed)
    assert rules_of(record) == rules


@pytest.mark.parametrize(("changed", "holds"), [
    ({}, True), ({"document": ""}, False), ({"purposes": ["evaluation"]}, False), ({"basis": "eu-gdpr:A6-1-a"}, False),
    ({"source_system": "other"}, False), ({"revoked_at": timezone.now() - HOUR}, False), ({"reviewed_by": None}, False),
    ({"valid_until": timezone.now() - HOUR}, False), ({"valid_until": timezone.now() + HOUR}, True),
])
def test_a_basis_holds_only_with_its_papers_and_a_person_who_reviewed_it(
    records, steward: Any, changed: dict[str, Any], holds: bool
):
    (record,) = records(1, consent=False)
    services.lawful_basis_record(
        source_system="acme", basis="eu-gdpr:A6-1-f", purposes=["sft"], document="LIA-7", by=steward
    )
    LawfulBasis.objects.update(**changed)
    assert rules_of(record) == (set() if holds else {"no_consent"})


def test_only_a_person_reviews_a_basis():
    from flywheel.core.errors import ValidationFailed

    with pytest.raises(ValidationFailed, match="a person must review it"):
        services.lawful_basis_record(
            source_system="acme", basis="eu-gdpr:A6-1-f", purposes=["sft"], document="LIA-7", by=SYSTEM
        )


def test_facts_of_records_that_are_not_there_are_left_out(records):
    (record,) = records(1)
    assert set(record_facts([record.pk, 10**9, record.pk])) == {record.pk}
    assert record_facts([]) == {}
