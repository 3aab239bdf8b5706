"""Files as streams of payloads: CSV, JSONL, JSON, zips of these, and three public data sets.

`open_file` detects the format by content and yields one `FileRow` per record. A record that cannot be read becomes a
`BadPayload`.
"""

from flywheel.capture.connectors.files.archives import UnreadableFile
from flywheel.capture.connectors.files.reader import (
    FORMATS,
    SUFFIXES,
    FileRow,
    Opened,
    detect_format,
    files_below,
    open_file,
)

__all__ = [
    "FORMATS", "SUFFIXES", "FileRow", "Opened", "UnreadableFile", "detect_format", "files_below",
    "open_file",
]
