"""Changes of state in provenance, one function each.

recording: records and subjects; consenting: consent records, events, other lawful bases; judging: verdicts;
stewarding: a steward's decisions; withdrawing: withdrawal of consent and its receipt.
"""

from provenance.domain.vocabulary import RecordDraft
from provenance.services.recording import record_provenance, record_provenance_bulk, subjects_ensure

__all__ = ["RecordDraft", "record_provenance", "record_provenance_bulk", "subjects_ensure"]
