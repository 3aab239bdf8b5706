"""Changes of state in capture, one function each.

sources: what may be captured, on which terms; receiving: deliveries; processing: captures into examples, grouping:
near-duplicates; importing: files. Reading is selectors' work.
"""

from flywheel.capture.services.importing import file_import
from flywheel.capture.services.ingest import CaptureResult, Outcome, Row, capture_bulk, capture_one
from flywheel.capture.services.normalize import (
    capture_replay,
    captures_sweep,
    example_original_seen,
    process_captures,
)
from flywheel.capture.services.sample import SAMPLE, sample_sources_ensure
from flywheel.capture.services.sources import source_change, source_create

__all__ = [
    "SAMPLE",
    "CaptureResult",
    "Outcome",
    "Row",
    "capture_bulk",
    "capture_one",
    "capture_replay",
    "captures_sweep",
    "example_original_seen",
    "file_import",
    "process_captures",
    "sample_sources_ensure",
    "source_change",
    "source_create",
]
