"""Changes of state in provenance, one function each."""

from provenance.domain.vocabulary import RecordDraft
from provenance.services.consent import (
    ConsentReport,
    consent_event_add,
    consent_import,
    consent_record_add,
    lawful_basis_record,
    lawful_basis_revoke,
)
from provenance.services.records import (
    StoredRecords,
    record_provenance_bulk,
    records_storing,
    subjects_ensure,
)
from provenance.services.steward_actions import (
    source_retention_change,
    source_terms_change,
    steward_clear_personal_data,
    steward_quarantine,
    steward_release,
)
from provenance.services.verdicts import (
    clear_or_refuse,
    due_judge,
    gate_judge,
    records_judge,
    records_touch,
    verdicts_expire,
)
from provenance.services.withdrawal import (
    consent_withdraw,
    refusal_due,
    withdrawal_complete,
    withdrawal_ensure,
    withdrawal_receipt_add,
)

__all__ = [
    "ConsentReport", "RecordDraft", "StoredRecords", "clear_or_refuse", "consent_event_add",
    "consent_import", "consent_record_add", "consent_withdraw", "due_judge", "gate_judge", "lawful_basis_record",
    "lawful_basis_revoke",
    "record_provenance_bulk", "records_judge", "records_storing", "records_touch",
    "refusal_due",
    "source_retention_change", "source_terms_change", "steward_clear_personal_data", "steward_quarantine",
    "steward_release", "subjects_ensure", "verdicts_expire", "withdrawal_complete",
    "withdrawal_ensure", "withdrawal_receipt_add",
]
