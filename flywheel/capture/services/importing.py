"""Files into captures: resumable, each row once, bad rows reported by line. Reading formats is the connector's work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from flywheel.capture.connectors import files
from flywheel.capture.models import FileImport, Source
from flywheel.capture.services.receiving import Outcome, Row, capture_bulk
from flywheel.core.errors import Invalid
from flywheel.core.models import User
from provenance.ledger import ledger_append

BAD_ROWS_KEPT = 1000


def file_import(
    *, path: Path, source: Source | None, by: User | None, format: str = "auto", encoding: str = "utf-8",
    limit: int | None = None, progress: Callable[[int], None] | None = None,
) -> FileImport:
    """Capture one file's rows, going on where an earlier attempt at the same content stopped.

    Without a source each row names its own. `limit` bounds the rows read in this call; the rest waits for the next.
    `progress` is called with the number of rows after each chunk. Raises Invalid for a file that cannot be read.
    """
    try:
        opened = files.open_file(path, format=format, encoding=encoding)
        done = _begin(path=path, source=source, by=by, format=opened.format)
        if done.finished_at is not None:
            return done
        stop = None if limit is None else done.position + limit
        ended = _read(opened, done, source=source, by=by, stop=stop, progress=progress)
    except (files.UnreadableFile, OSError, LookupError) as error:
        raise Invalid(f"{error}", field="path") from None
    if ended:
        _end(done, by=by)
    return done


def _begin(*, path: Path, source: Source | None, by: User | None, format: str) -> FileImport:
    with transaction.atomic():
        row, created = FileImport.objects.get_or_create(
            source=source, sha256=files.file_sha256(path), defaults={"path": str(path)[:1000], "format": format[:40]}
        )
        if created:
            ledger_append(
                actor=by or "system", action="import.start", object=f"import:{row.pk}",
                payload={"file": path.name, "sha256": row.sha256, "source": source.name if source else None},
            )
    return row


def _read(
    opened: files.Opened, done: FileImport, *, source: Source | None, by: User | None, stop: int | None,
    progress: Callable[[int], None] | None,
) -> bool:
    """Take the rows from the import's position on. Returns whether the file's end was reached."""
    ended = True

    def rows() -> Iterator[Row]:
        nonlocal ended
        for number, row in enumerate(islice(opened.rows(), done.position, None), start=done.position):
            if stop is not None and number >= stop:
                ended = False
                return
            yield Row(row.line, row.content)

    def advance(outcomes: list[Outcome]) -> None:
        _count(done, outcomes)

    for outcome_number, _ in enumerate(
        capture_bulk(source=source, lines=rows(), by=by, after_chunk=advance), start=1
    ):
        if progress is not None and outcome_number % 100 == 0:
            progress(100)
    return ended


def _count(done: FileImport, outcomes: list[Outcome]) -> None:
    """In the chunk's own transaction: the rows and how far we are become true together."""
    counts = Counter(outcome.status for outcome in outcomes)
    done.position += len(outcomes)
    done.rows_read += len(outcomes)
    done.rows_captured += counts["captured"]
    done.rows_repeated += counts["repeated"]
    bad = [o for o in outcomes if o.status in ("bad", "conflict")]
    done.rows_bad += len(bad)
    room = max(0, BAD_ROWS_KEPT - len(done.bad_rows))
    done.bad_rows = done.bad_rows + [{"line": o.line, "reason": o.reason, "field": o.field} for o in bad[:room]]
    done.save()


def _end(done: FileImport, *, by: User | None) -> None:
    with transaction.atomic():
        done.finished_at = timezone.now()
        done.save(update_fields=["finished_at"])
        ledger_append(
            actor=by or "system", action="import.finish", object=f"import:{done.pk}",
            payload={"captured": done.rows_captured, "repeated": done.rows_repeated, "bad": done.rows_bad},
        )
