"""Fetching provenance's things by their public names, and what a request may ask about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flywheel.core.access import ADMIN, STEWARD, has_role
from flywheel.core.errors import Forbidden, NotFound, ValidationFailed
from provenance.domain.vocabulary import PURPOSES
from provenance.models import ProvenanceRecord, Subject, Withdrawal
from provenance.regions import regions


def subject_of(uid: UUID) -> Subject:
    """A subject. Raises NotFound."""
    subject = Subject.objects.filter(uid=uid).first()
    if subject is None:
        raise NotFound(f"there is no subject {uid}")
    return subject


def subject_asked(user: Any, params: Mapping[str, str]) -> Subject | None:
    """The person that a list is narrowed to by `?subject=<uid>`; None for all.

    Raises Refused for anybody but stewards and admins, since it tells what is held of somebody; NotFound.
    """
    text = params.get("subject", "")
    if not text:
        return None
    if not has_role(user, STEWARD, ADMIN):
        raise Forbidden("what is held of one person is for stewards and admins")
    try:
        return subject_of(UUID(text))
    except ValueError:
        raise NotFound(f"there is no subject {text[:40]!r}") from None


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
        raise ValidationFailed(f"purpose {purpose!r} is not known; use one of {', '.join(PURPOSES)}", field="purpose")
    region = (params.get("region") or regions()[0]).strip()
    if len(region) > 40:
        raise ValidationFailed(
            "the region's name is longer than 40 characters; use a code such as EU or DE", field="region"
        )
    return purpose, region
