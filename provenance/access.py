"""Permissions of provenance, and lookups of records, subjects and withdrawals by uid."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from flywheel.core.errors import NotFound, ValidationFailed
from flywheel.core.permissions import STEWARDS, Permission, Person, register, require
from provenance.domain.vocabulary import PURPOSES
from provenance.models import ProvenanceRecord, Subject, Withdrawal
from provenance.settings import judged_regions

register({
    "clearance.view": Permission("looking at clearance", STEWARDS),
    "consent.record": Permission("recording consent", STEWARDS),
    "record.view": Permission("looking at provenance records", STEWARDS),
    "record.decide": Permission("deciding on a provenance record", STEWARDS),
    "subject.view": Permission("looking at the data held of one person", STEWARDS),
    "subject.withdraw": Permission("withdrawing a person's consent", STEWARDS),
    "withdrawal.view": Permission("looking at withdrawals", STEWARDS),
})


def subject_of(uid: UUID) -> Subject:
    """A subject. Raises NotFound."""
    subject = Subject.objects.filter(uid=uid).first()
    if subject is None:
        raise NotFound(f"there is no subject {uid}")
    return subject


def subject_asked(user: Person, params: Mapping[str, str]) -> Subject | None:
    """The subject that a list is narrowed to by `?subject=<uid>`; None for all.

    Raises NotFound, and Forbidden without the permission "subject.view", because the list shows what is held of a
    person.
    """
    text = params.get("subject", "")
    if not text:
        return None
    # Before the look-up, so that the answer to others never depends on which subjects exist.
    require("subject.view", user)
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
    """A withdrawal with its subject and the person who requested it. Raises NotFound."""
    withdrawal = Withdrawal.objects.select_related("subject", "requested_by").filter(uid=uid).first()
    if withdrawal is None:
        raise NotFound(f"there is no withdrawal {uid}")
    return withdrawal


def purpose_and_region(params: Mapping[str, str], *, default_purpose: str = "sft") -> tuple[str, str]:
    """The purpose and region that an address names, or the defaults. Raises ValidationFailed for an unknown one."""
    purpose = params.get("purpose") or default_purpose
    if purpose not in PURPOSES:
        raise ValidationFailed(f"purpose {purpose!r} is not known; use one of {', '.join(PURPOSES)}", field="purpose")
    region = (params.get("region") or judged_regions()[0]).strip()
    # The column holds 40 characters, and PostgreSQL raises an error for a longer value.
    if len(region) > 40:
        raise ValidationFailed(
            "the region's name is longer than 40 characters; use a code such as EU or DE", field="region"
        )
    return purpose, region
