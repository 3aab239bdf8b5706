"""Files into rows of payloads, streaming: CSV, JSONL, JSON, zip of these, and three public data sets.

`rows_of` opens a file, finds out its format by its content and yields one `FileRow` per record; a record that cannot be
read comes as a `BadPayload`. Nothing here touches the database.
"""

from flywheel.capture.connectors.files.reading import (
    FORMATS,
    FileRow,
    Opened,
    UnreadableFile,
    file_sha256,
    files_below,
    open_file,
)

__all__ = ["FORMATS", "FileRow", "Opened", "UnreadableFile", "file_sha256", "files_below", "open_file"]
