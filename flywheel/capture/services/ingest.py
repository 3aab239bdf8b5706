"""Taking deliveries: stored raw, once per (source, external id, version), and queued for processing.

A delivery that is not a ticket or a call is refused with its line and reason.
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
    """A delivery that is stored, now or from before. `example` is the identifier that its example has or will have."""

    capture_id: int
    status: Status
    example: str


def capture_one(*, source: Source | None, payload: bytes | str | dict[str, Any], by: User | None) -> CaptureResult:
    """Take one delivery; without a source the payload names its own.

    Raises ValidationFailed for a bad payload, an unknown source and an inactive one, and Conflict when this version is
    stored already with other content.
    """
    try:
        delivery = _delivery_read(payload)
        known = {source.name: source} if source else sources_named({delivery.source})
        # Everything that can be refused is refused before the transaction, so that a bad delivery takes no lock.
        origin = _source_resolved(delivery, source, known)
    except BadPayload as bad:
        raise ValidationFailed(bad.reason, field=bad.field) from None
    with transaction.atomic():
        found = _deliveries_store([(delivery, origin)], by=by)[0]
    if found.status == "conflict":
        raise Conflict(_conflict_text(delivery, origin), field="version")
    uid = example_uid(source=origin.name, external_id=delivery.external_id)
    return CaptureResult(capture_id=found.capture_id, status=found.status, example=str(uid))


def capture_bulk(
    *, source: Source | None, lines: Iterable[Row | bytes | str | dict[str, Any]], by: User | None,
    after_chunk: Callable[[list[Outcome]], None] | None = None,
) -> Iterator[Outcome]:
    """Take many deliveries and yield the outcome of each line. Without a source each delivery names its own.

    Works through `lines` in chunks of at most `CHUNK_ROWS` rows or `CHUNK_BYTES` bytes, each in one transaction with
    one ledger entry. So memory is constant, and a chunk whose outcomes were yielded is committed. `after_chunk` is
    called inside that transaction. The iterator must be read to its end, because reading it does the work.
    """
    names = {source.name: source} if source else {}
    for chunk in _row_chunks(lines):
        yield from _chunk_capture(chunk, source=source, known=names, by=by, after_chunk=after_chunk)


def _row_chunks(lines: Iterable[Row | bytes | str | dict[str, Any]]) -> Iterator[list[Row]]:
    # more_itertools.constrained_batches would hold a full chunk back until the next row arrives, and lose it when the
    # connection breaks off first.
    chunk: list[Row] = []
    size = 0
    for number, line in enumerate(lines, start=1):
        row = line if isinstance(line, Row) else Row(number, line)
        # The length of a payload that is parsed already is not known; a guess is enough to bound a chunk.
        size += len(row.content) if isinstance(row.content, bytes | str) else 1000
        chunk.append(row)
        if len(chunk) >= CHUNK_ROWS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _chunk_capture(
    chunk: list[Row], *, source: Source | None, known: dict[str, Source], by: User | None,
    after_chunk: Callable[[list[Outcome]], None] | None,
) -> list[Outcome]:
    outcomes: list[Outcome | None] = [None] * len(chunk)
    readable: list[tuple[int, Delivery]] = []
    for index, row in enumerate(chunk):
        try:
            readable.append((index, _delivery_read(row.content)))
        except BadPayload as bad:
            outcomes[index] = Outcome(row.line, "bad", reason=bad.reason, field=bad.field)
    # One query for the sources that this chunk names for the first time.
    known |= sources_named({d.source for _, d in readable if d.source} - set(known))
    resolved: list[tuple[int, Delivery, Source]] = []
    for index, delivery in readable:
        try:
            resolved.append((index, delivery, _source_resolved(delivery, source, known)))
        except BadPayload as bad:
            outcomes[index] = Outcome(chunk[index].line, "bad", delivery.external_id, bad.reason, bad.field)
    with transaction.atomic():
        stored = _deliveries_store([(delivery, origin) for _, delivery, origin in resolved], by=by)
        for (index, delivery, origin), found in zip(resolved, stored, strict=True):
            reason, field = (_conflict_text(delivery, origin), "version") if found.status == "conflict" else ("", "")
            outcomes[index] = Outcome(chunk[index].line, found.status, delivery.external_id, reason, field)
        complete = [outcome for outcome in outcomes if outcome is not None]
        if after_chunk is not None:
            # Inside the transaction, so that an import's position and its rows are committed together or not at all.
            after_chunk(complete)
    return complete


def _delivery_read(content: bytes | str | dict[str, Any] | BadPayload) -> Delivery:
    if isinstance(content, BadPayload):
        raise content
    return delivery_of(content if isinstance(content, dict) else parse_json(content))


def _source_resolved(delivery: Delivery, source: Source | None, known: dict[str, Source]) -> Source:
    if source is not None and delivery.source and delivery.source != source.name:
        raise BadPayload(
            f"the payload names source {delivery.source!r}, the delivery {source.name!r}; name one of them only",
            field="source",
        )
    name = source.name if source else delivery.source
    if not name:
        raise BadPayload("no source is named; add ?source=NAME or \"source\" to the payload", field="source")
    if name not in known:
        raise BadPayload(
            f"source {name!r} does not exist; an admin or steward creates it under /sources/", field="source"
        )
    if not known[name].active:
        raise BadPayload(f"source {name!r} is not active; switch it on under /sources/{name}/", field="source")
    return known[name]


@dataclass(frozen=True, slots=True)
class _Stored:
    capture_id: int
    status: Status


def _deliveries_store(deliveries: list[tuple[Delivery, Source]], *, by: User | None) -> list[_Stored]:
    """Insert what is new, in the caller's transaction, with one ledger entry and one request for processing."""
    if not deliveries:
        return []
    sources = {source.pk for _, source in deliveries}
    # Deliveries to one source queue here, so that no other transaction inserts the same versions between the look-up
    # below and the insert.
    list(Source.objects.select_for_update(no_key=True).filter(pk__in=sources).order_by("pk").values_list("pk"))
    rows = Capture.objects.filter(
        source_id__in=sources, external_id__in={delivery.external_id for delivery, _ in deliveries}
    ).values_list("source_id", "external_id", "version", "pk", "payload_sha256")
    held = {(source, external, version): (pk, digest) for source, external, version, pk, digest in rows}
    new: dict[tuple[int, str, str], Capture] = {}
    for delivery, source in deliveries:
        # The identity of a delivery: a repeated one must not become a second capture.
        key = (source.pk, delivery.external_id, delivery.version)
        if key not in held and key not in new:
            new[key] = Capture(
                source=source, external_id=delivery.external_id, version=delivery.version, kind=delivery.kind,
                payload=delivery.canonical, payload_sha256=delivery.sha256, order_key=delivery.order_key,
                received_by=by,
            )
    created = {(c.source_id, c.external_id, c.version): c for c in Capture.objects.bulk_create(new.values())}
    if created:
        job_add(kind=PROCESS_KIND, dedupe_key="waiting")
        names = ",".join(sorted({capture.source.name for capture in created.values()}))
        ledger_append(
            actor=by or SYSTEM, action=Action.CAPTURE_RECEIVE, object=f"source:{names}"[:200],
            touched={"capture": [capture.pk for capture in created.values()]},
            payload={"captures": [[capture.pk, capture.payload_sha256] for capture in created.values()]},
        )
    fresh = set(created)
    stored = []
    for delivery, source in deliveries:
        key = (source.pk, delivery.external_id, delivery.version)
        pk, digest = held[key] if key in held else (created[key].pk, created[key].payload_sha256)
        # The same version twice in one chunk is captured by its first row and repeated by the second.
        status: Status = "captured" if key in fresh else "repeated"
        # A version is evidence of what was delivered, so other content under the same version is refused and not stored
        # over it.
        if digest != delivery.sha256:
            status = "conflict"
        fresh.discard(key)
        stored.append(_Stored(pk, status))
    return stored


def _conflict_text(delivery: Delivery, source: Source) -> str:
    return (
        f"version {delivery.version!r} of {delivery.external_id!r} in source {source.name!r} is already stored with "
        f"other content; deliver the change under a new version"
    )
