"""Taking deliveries: stored raw, once per (source, external id, version), and queued for processing.

A delivery that is not what it should be is refused here with its line and reason. Making examples is processing's work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from django.db import transaction

from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.capture.access import sources_named
from flywheel.capture.domain.conversation import example_uid
from flywheel.capture.domain.payloads import BadPayload, Delivery, Row, delivery_of, parse_json
from flywheel.capture.models import Capture, Source
from flywheel.core.actors import SYSTEM
from flywheel.core.errors import Conflict, ValidationFailed
from flywheel.core.models import User
from flywheel.work.jobs import job_add

CHUNK_ROWS = 1000
CHUNK_BYTES = 8 * 1024 * 1024
PROCESS_KIND = "capture.process"

Status = Literal["captured", "repeated", "bad", "conflict"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one row; `bad` and `conflict` have a reason and perhaps a field."""

    line: int
    status: Status
    external_id: str = ""
    reason: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """A delivery that was taken, now or before."""

    capture_id: int
    status: Status
    example: str


def capture_one(*, source: Source | None, payload: bytes | str | dict[str, Any], by: User | None) -> CaptureResult:
    """Take one delivery; without a source the payload names its own.

    Raises ValidationFailed for a bad payload, NotFound for an unknown source, Forbidden for an inactive one, Conflict
    when this version is already held with other content.
    """
    try:
        delivery = _delivery(payload)
    except BadPayload as bad:
        raise ValidationFailed(bad.reason, field=bad.field) from None
    source = _source_of(delivery, source)
    with transaction.atomic():
        found = _store([(delivery, source)], by=by)[0]
    if found.status == "conflict":
        raise Conflict(_conflict(delivery, source), field="version")
    uid = example_uid(source=source.name, external_id=delivery.external_id)
    return CaptureResult(capture_id=found.capture_id, status=found.status, example=str(uid))


def capture_bulk(
    *, source: Source | None, lines: Iterable[Row | bytes | str | dict[str, Any]], by: User | None,
    after_chunk: Callable[[list[Outcome]], None] | None = None,
) -> Iterator[Outcome]:
    """Take many deliveries and tell for each line what became of it. Without a source each names its own.

    Works through `lines` in chunks of at most `CHUNK_ROWS` rows or `CHUNK_BYTES` bytes, each in one transaction with
    one ledger entry, so memory is constant and a chunk whose outcomes came out is committed. `after_chunk` is called
    inside that transaction. The iterator has to be read to its end for all lines to be taken.
    """
    names = {source.name: source} if source else {}
    for chunk in _row_chunks(lines):
        yield from _take(chunk, source=source, known=names, by=by, after_chunk=after_chunk)


def _row_chunks(lines: Iterable[Row | bytes | str | dict[str, Any]]) -> Iterator[list[Row]]:
    # more_itertools.constrained_batches would hold a full chunk back until the next row arrives, and lose it when the
    # connection breaks off first.
    chunk: list[Row] = []
    size = 0
    for number, line in enumerate(lines, start=1):
        row = line if isinstance(line, Row) else Row(number, line)
        # A payload that is parsed already has no length of its own; a guess is enough to bound a chunk.
        size += len(row.content) if isinstance(row.content, bytes | str) else 1000
        chunk.append(row)
        if len(chunk) >= CHUNK_ROWS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _take(
    chunk: list[Row], *, source: Source | None, known: dict[str, Source], by: User | None,
    after_chunk: Callable[[list[Outcome]], None] | None,
) -> list[Outcome]:
    outcomes: list[Outcome | None] = [None] * len(chunk)
    wanted: list[tuple[int, Delivery]] = []
    for index, row in enumerate(chunk):
        try:
            wanted.append((index, _delivery(row.content)))
        except BadPayload as bad:
            outcomes[index] = Outcome(row.line, "bad", reason=bad.reason, field=bad.field)
    known |= sources_named({d.source for _, d in wanted if d.source} - set(known))
    taken: list[tuple[int, Delivery, Source]] = []
    for index, delivery in wanted:
        try:
            taken.append((index, delivery, _resolved(delivery, source, known)))
        except BadPayload as bad:
            outcomes[index] = Outcome(chunk[index].line, "bad", delivery.external_id, bad.reason, bad.field)
    with transaction.atomic():
        stored = _store([(delivery, origin) for _, delivery, origin in taken], by=by)
        for (index, delivery, origin), found in zip(taken, stored, strict=True):
            reason, field = (_conflict(delivery, origin), "version") if found.status == "conflict" else ("", "")
            outcomes[index] = Outcome(chunk[index].line, found.status, delivery.external_id, reason, field)
        told = [outcome for outcome in outcomes if outcome is not None]
        if after_chunk is not None:
            after_chunk(told)
    return told


def _delivery(content: bytes | str | dict[str, Any] | BadPayload) -> Delivery:
    if isinstance(content, BadPayload):
        raise content
    return delivery_of(content if isinstance(content, dict) else parse_json(content))


def _source_of(delivery: Delivery, source: Source | None) -> Source:
    known = {source.name: source} if source else sources_named({delivery.source})
    try:
        return _resolved(delivery, source, known)
    except BadPayload as bad:
        raise ValidationFailed(bad.reason, field=bad.field) from None


def _resolved(delivery: Delivery, source: Source | None, known: dict[str, Source]) -> Source:
    if source is not None and delivery.source and delivery.source != source.name:
        raise BadPayload(
            f"the payload names source {delivery.source!r}, the delivery {source.name!r}; name one of them only",
            field="source",
        )
    name = source.name if source else delivery.source
    if not name:
        raise BadPayload("no source is named; add ?source=NAME or \"source\" to the payload", field="source")
    if name not in known:
        raise BadPayload(f"there is no source {name!r}; an admin or steward creates it under /sources/", field="source")
    if not known[name].active:
        raise BadPayload(f"source {name!r} is not active; switch it on under /sources/{name}/", field="source")
    return known[name]


@dataclass(frozen=True, slots=True)
class _Stored:
    capture_id: int
    status: Status


def _store(deliveries: list[tuple[Delivery, Source]], *, by: User | None) -> list[_Stored]:
    """Insert what is new, in the caller's transaction; one ledger entry and one request for work for all of it."""
    if not deliveries:
        return []
    # Deliveries to one source queue here, so that what is found below is still true when the rows are inserted.
    list(
        Source.objects.select_for_update(no_key=True)
        .filter(pk__in={source.pk for _, source in deliveries}).order_by("pk").values_list("pk")
    )
    held = _held(deliveries)
    new: dict[tuple[int, str, str], Capture] = {}
    for delivery, source in deliveries:
        key = (source.pk, delivery.external_id, delivery.version)
        if key not in held and key not in new:
            new[key] = _capture(delivery, source, by)
    created = {(c.source_id, c.external_id, c.version): c for c in Capture.objects.bulk_create(new.values())}
    if created:
        job_add(kind=PROCESS_KIND, payload={}, dedupe_key="waiting")
        _ledger(created.values(), by=by)
    fresh = set(created)
    stored = []
    for delivery, source in deliveries:
        key = (source.pk, delivery.external_id, delivery.version)
        pk, digest = held[key] if key in held else (created[key].pk, created[key].payload_sha256)
        status: Status = "captured" if key in fresh else "repeated"
        if digest != delivery.sha256:
            status = "conflict"
        fresh.discard(key)
        stored.append(_Stored(pk, status))
    return stored


def _held(deliveries: list[tuple[Delivery, Source]]) -> dict[tuple[int, str, str], tuple[int, str]]:
    rows = Capture.objects.filter(
        source_id__in={source.pk for _, source in deliveries},
        external_id__in={delivery.external_id for delivery, _ in deliveries},
    ).values_list("source_id", "external_id", "version", "pk", "payload_sha256")
    return {(source, external, version): (pk, digest) for source, external, version, pk, digest in rows}


def _capture(delivery: Delivery, source: Source, by: User | None) -> Capture:
    return Capture(
        source=source, external_id=delivery.external_id, version=delivery.version, kind=delivery.kind,
        payload=delivery.canonical, payload_sha256=delivery.sha256, order_key=delivery.order_key, received_by=by,
    )


def _ledger(created: Iterable[Capture], *, by: User | None) -> None:
    captures = list(created)
    names = sorted({c.source.name for c in captures})
    ledger_append(
        actor=by or SYSTEM, action=Action.CAPTURE_RECEIVE, object=f"source:{','.join(names)}"[:200],
        touched={"capture": [c.pk for c in captures]},
        payload={"captures": [[c.pk, c.payload_sha256] for c in captures]},
    )


def _conflict(delivery: Delivery, source: Source) -> str:
    return (
        f"version {delivery.version!r} of {delivery.external_id!r} in source {source.name!r} is already held with "
        f"other content; deliver the change under a new version"
    )
