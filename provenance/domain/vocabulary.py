"""Vocabulary of provenance: purposes, consent states, lawful bases, and the draft of a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

PURPOSES = ("sft", "preference", "continued_pretraining", "evaluation")
"""What an example may be used for (Data & Trust Alliance: ai-alignment, ai-pre-training, ai-evaluation)."""

PURPOSE_NAMES = {
    "sft": "Fine-tuning", "preference": "Preference training", "continued_pretraining": "Continued pretraining",
    "evaluation": "Evaluation",
}
"""Display names of purposes."""

JUDGED_PURPOSES = ("sft", "continued_pretraining", "evaluation")
"""Purposes for which every record's verdict is kept up to date."""

LIVE_STATES = frozenset({"ConsentGiven", "RenewedConsentGiven"})
"""States that allow use, and only until they expire (W3C DPV)."""

REFUSING_STATES = frozenset({"ConsentWithdrawn", "ConsentRevoked", "ConsentRefused", "ConsentInvalidated"})
"""States of refusal. Only a newer consent overrules them; older grants and other bases do not."""

BLOCKING_STATES = REFUSING_STATES | {
    "ConsentUnknown", "ConsentRequested", "ConsentExpired", "ConsentRequestDeferred",
}
CONSENT_STATES = LIVE_STATES | BLOCKING_STATES

STATE_NAMES = {
    "ConsentGiven": "Given", "RenewedConsentGiven": "Renewed", "ConsentWithdrawn": "Withdrawn",
    "ConsentRevoked": "Revoked", "ConsentRefused": "Refused", "ConsentInvalidated": "Invalidated",
    "ConsentUnknown": "Unknown", "ConsentRequested": "Asked for", "ConsentExpired": "Expired",
    "ConsentRequestDeferred": "Deferred",
}
"""Display names of consent states."""

CONSENT_BASES = ("eu-gdpr:A6-1-a", "eu-gdpr:A9-2-a", "dpv:Consent", "dpv:ExplicitConsent", "dpv:InformedConsent")
"""Lawful bases that are consent; a sub-form such as `eu-gdpr:A6-1-a-explicit-consent` counts too."""


def is_consent_basis(basis: str) -> bool:
    """Whether a lawful basis is consent. All others are recorded with their document and reviewer instead."""
    return basis.startswith(CONSENT_BASES)


SubjectRef = tuple[str, str]
"""(namespace, external_ref): the source system's name for a person."""


@dataclass(frozen=True, slots=True)
class RecordDraft:
    """The facts of one source record at capture.

    Lists of purposes and regions name what is allowed; an empty list allows nothing. `personal_data` is one of
    `unknown, none, redacted, cleared, present`. `subject_refs` names the people whose data it is.
    """

    source_system: str
    source_record_id: str
    content_sha256: str
    captured_at: datetime
    captured_by: str
    license_spdx: str = ""
    copyright: str = ""
    intended_purposes: Sequence[str] = ()
    prohibited_purposes: Sequence[str] = ()
    origin_geography: str = ""
    personal_data: str = "unknown"
    classification: Sequence[str] = ()
    privacy_enhancing: Sequence[dict[str, Any]] = ()
    subject_refs: Sequence[SubjectRef] = ()
    retention_until: datetime | None = None
    storage_allowed: Sequence[str] = ()
    processing_included: Sequence[str] = ()
    activity_id: str = ""
    derived_from: Sequence[str] = field(default_factory=tuple)
