"""Files into rows of payloads, streaming: CSV, JSONL, JSON, zip of these, and three public data sets.

`open_file` finds out a file's format by its content; its rows are one `FileRow` per record; a record that cannot be
read comes as a `BadPayload`. Nothing here touches the database.
"""

from flywheel.capture.connectors.files.archives import UnreadableFile
from flywheel.capture.connectors.files.reader import (
    FORMATS,
    SUFFIXES,
    FileRow,
    Opened,
    detect_format,
    file_sha256,
    files_below,
    open_file,
)

__all__ = [
    "FORMATS", "SUFFIXES", "FileRow", "Opened", "UnreadableFile", "detect_format", "file_sha256", "files_below",
    "open_file",
]
