"""Fetching provenance's things by their public names, and what a request may ask about them."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from flywheel.core.errors import Invalid, NotFound
from provenance.domain.vocabulary import PURPOSES
from provenance.models import ProvenanceRecord, Subject, Withdrawal
from provenance.regions import regions


def subject_of(uid: UUID) -> Subject:
    """A subject. Raises NotFound."""
    subject = Subject.objects.filter(uid=uid).first()
    if subject is None:
        raise NotFound(f"there is no subject {uid}")
    return subject


def record_of(uid: UUID) -> ProvenanceRecord:
    """A provenance record. Raises NotFound."""
    record = ProvenanceRecord.objects.filter(uid=uid).first()
    if record is None:
        raise NotFound(f"there is no provenance record {uid}")
    return record


def withdrawal_of(uid: UUID) -> Withdrawal:
    """A withdrawal with its subject and who asked for it. Raises NotFound."""
    withdrawal = Withdrawal.objects.select_related("subject", "requested_by").filter(uid=uid).first()
    if withdrawal is None:
        raise NotFound(f"there is no withdrawal {uid}")
    return withdrawal


def purpose_and_region(params: Mapping[str, str], *, default_purpose: str = "sft") -> tuple[str, str]:
    """The purpose and region that an address names, or the usual ones. Raises Invalid for what is not known."""
    purpose = params.get("purpose") or default_purpose
    if purpose not in PURPOSES:
        raise Invalid(f"purpose {purpose!r} is not known; use one of {', '.join(PURPOSES)}", field="purpose")
    region = (params.get("region") or regions()[0]).strip()
    if len(region) > 40:
        raise Invalid("the region's name is longer than 40 characters; use a code such as EU or DE", field="region")
    return purpose, region
