"""Files into captures: resumable, each row once, bad rows reported by line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from django.db import transaction
from django.utils import timezone

from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.capture.connectors import files
from flywheel.capture.domain.payloads import Row
from flywheel.capture.models import FileImport, Source
from flywheel.capture.services.ingest import Outcome, capture_bulk
from flywheel.core.actors import SYSTEM
from flywheel.core.errors import Conflict, ValidationFailed
from flywheel.core.models import User
from flywheel.work.claims import Claim, JobCancelled, JobFailed
from flywheel.work.jobs import job_begin, job_end
from flywheel.work.models import Job
from training.contract.files import file_sha256

BAD_ROWS_KEPT = 1000
IMPORT_KIND = "capture.import"


def file_import(
    *, path: Path, source: Source | None, by: User | None, format: str = "auto", encoding: str = "utf-8",
    limit: int | None = None, read: Callable[[FileImport, bool], None] | None = None,
    skipped: Callable[[str], None] | None = None,
) -> Iterator[Outcome]:
    """Capture the rows of a file, or of all files in a folder, and yield the outcome of each row.

    An earlier attempt at the same content is resumed, so rows that it read do not come out again. A finished file that
    had bad rows is read once more, because their cause may be fixed by now (an encoding, a source); its good rows are
    repeated then. Without a source each row names its own. `limit` bounds the rows of this call; the rest waits for the
    next. `read` is called with the import of each file and whether an earlier call had finished it, `skipped` with the
    reason for each file of a folder or zip that holds no conversations. The iterator must be read to its end, because
    reading it does the work. Raises ValidationFailed for a file that cannot be read.
    """
    try:
        paths = files.files_below(path)
    except (files.UnreadableFile, OSError) as error:
        raise ValidationFailed(str(error), field="path") from None
    taken = found = 0
    for file in paths:
        if limit is not None and taken >= limit:
            return
        try:
            for outcome in _file_capture(
                file, source=source, by=by, format=format, encoding=encoding, read=read, skipped=skipped,
                limit=None if limit is None else limit - taken,
            ):
                taken += 1
                yield outcome
            found += 1
        except ValidationFailed as error:
            # A single file that cannot be read is the caller's mistake; in a folder it may simply be another kind of
            # file.
            if not path.is_dir():
                raise
            # A folder may hold other files beside the conversations.
            if skipped is not None:
                skipped(error.message)
    if not found:
        raise ValidationFailed(
            f"{path} holds no file with conversations; expected .csv, .json, .jsonl or .zip", field="path"
        )


def _file_capture(
    path: Path, *, source: Source | None, by: User | None, format: str, encoding: str, limit: int | None,
    read: Callable[[FileImport, bool], None] | None, skipped: Callable[[str], None] | None,
) -> Iterator[Outcome]:
    try:
        opened = files.open_file(path, format=format, encoding=encoding)
        if skipped is not None:
            for reason in opened.skipped:
                skipped(reason)
        done = _import_open(path=path, source=source, by=by, format=opened.format)
        before = done.finished_at is not None
        if not before:
            stop = None if limit is None else done.position + limit
            claim = job_begin(
                kind=IMPORT_KIND, title=f"Import {path.name}", requested_by=by, object_ref=f"import:{done.pk}",
                payload={"source": source.name if source else ""},
            )
            with _job_shown(claim, done):
                yield from capture_bulk(
                    source=source, lines=_rows_left(opened, done, stop), by=by,
                    after_chunk=lambda outcomes: _progress_store(done, outcomes, claim),
                )
                if stop is None or done.position < stop:
                    _import_finish(done, by=by)
    except (files.UnreadableFile, OSError, LookupError) as error:
        raise ValidationFailed(str(error), field="path") from None
    if read is not None:
        read(done, before)


@contextmanager
def _job_shown(claim: Claim, done: FileImport) -> Iterator[None]:
    """End the import's job however the import ends, so that the Jobs page never shows one that is not running."""
    try:
        yield
    except JobCancelled as cancelled:
        job_end(claim, Job.Status.CANCELLED, f"Cancelled at row {done.position:,}; the same command resumes there.")
        raise Conflict(
            f"the import of {Path(done.path).name} was cancelled; the same command resumes it"
        ) from cancelled
    except GeneratorExit:
        # The caller stopped reading, for example because it was interrupted.
        job_end(claim, Job.Status.CANCELLED, f"Stopped at row {done.position:,}; the same command resumes there.")
        raise
    except BaseException as error:
        job_end(claim, Job.Status.FAILED, str(getattr(error, "message", "")) or f"{type(error).__name__}: {error}")
        raise
    job_end(
        claim, Job.Status.DONE,
        f"Read {done.rows_read:,} rows: {done.rows_captured:,} captured, {done.rows_repeated:,} repeated, "
        f"{done.rows_bad:,} bad.",
    )


def lost_import_end(claim: Claim) -> str:
    """End the job of an import whose process died. No worker can resume it: the file is on another machine."""
    raise JobFailed("The process that read the file ended; run the same command again, which resumes it.")


def _import_open(*, path: Path, source: Source | None, by: User | None, format: str) -> FileImport:
    with transaction.atomic():
        # By the content's hash: the same file under another name is resumed, and a changed one is a new import.
        row, created = FileImport.objects.get_or_create(
            source=source, sha256=file_sha256(path), defaults={"path": str(path)[:1000], "format": format[:40]}
        )
        if row.finished_at is not None and row.rows_bad:
            row.finished_at, row.bad_rows, row.format = None, [], format[:40]
            row.position = row.rows_read = row.rows_captured = row.rows_repeated = row.rows_bad = 0
            row.save()
            created = True
        if created:
            ledger_append(
                actor=by or SYSTEM, action=Action.IMPORT_START, object=f"import:{row.pk}",
                touched={"import": [row.pk]},
                payload={"file": path.name, "sha256": row.sha256, "source": source.name if source else None},
            )
    return row


def _rows_left(opened: files.Opened, done: FileImport, stop: int | None) -> Iterator[Row]:
    for row in islice(opened.rows(), done.position, stop):
        yield Row(row.line, row.content)


def _progress_store(done: FileImport, outcomes: list[Outcome], claim: Claim) -> None:
    # Called inside the chunk's transaction: its rows, the position and the job's progress are committed together. A
    # Conflict and a JobCancelled roll the chunk back.
    counts = Counter(outcome.status for outcome in outcomes)
    ours = FileImport.objects.filter(pk=done.pk, position=done.position, finished_at=None)
    done.position += len(outcomes)
    # The condition on the old position detects another process that went on with the same file.
    if not ours.update(position=done.position):
        raise Conflict(
            f"{Path(done.path).name} is being read by another process too; when that has ended, run the same command "
            "again for the rest", field="path"
        )
    done.rows_read += len(outcomes)
    done.rows_captured += counts["captured"]
    done.rows_repeated += counts["repeated"]
    bad = [o for o in outcomes if o.status in ("bad", "conflict")]
    done.rows_bad += len(bad)
    # Bounded, because a file in the wrong encoding has only bad rows and this list is one column of one row.
    room = max(0, BAD_ROWS_KEPT - len(done.bad_rows))
    done.bad_rows = done.bad_rows + [{"line": o.line, "reason": o.reason, "field": o.field} for o in bad[:room]]
    done.save()
    claim.progress(done.position)


def _import_finish(done: FileImport, *, by: User | None) -> None:
    with transaction.atomic():
        # The condition makes one of two processes write the ledger entry.
        ended = FileImport.objects.filter(pk=done.pk, finished_at=None).update(finished_at=timezone.now())
        done.refresh_from_db()
        if not ended:
            return
        ledger_append(
            actor=by or SYSTEM, action=Action.IMPORT_FINISH, object=f"import:{done.pk}",
            touched={"import": [done.pk]},
            payload={"captured": done.rows_captured, "repeated": done.rows_repeated, "bad": done.rows_bad},
        )
