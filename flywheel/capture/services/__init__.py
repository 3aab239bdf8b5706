"""Changes of state in capture, one function each: sources, deliveries, files, pulls, processing."""

from flywheel.capture.domain.payloads import Row
from flywheel.capture.services.importing import file_import
from flywheel.capture.services.ingest import CaptureResult, Outcome, capture_bulk, capture_one
from flywheel.capture.services.normalize import (
    capture_replay,
    captures_sweep,
    example_original_seen,
    process_captures,
)
from flywheel.capture.services.pulling import PULL_KIND, pulls_due, source_pull
from flywheel.capture.services.sample import SAMPLE, sample_sources_ensure
from flywheel.capture.services.sources import source_change, source_create

__all__ = [
    "PULL_KIND",
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
    "pulls_due",
    "sample_sources_ensure",
    "source_change",
    "source_create",
    "source_pull",
]
