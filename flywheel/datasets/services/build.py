"""Building a snapshot: settled examples through both gates into Parquet, leaves, a root and a manifest.

A build may be killed anywhere and run again: rows are written under the job's claim and thrown away by the next
attempt, files get the root in their path, and one transaction at the end freezes everything. A record whose facts
change while the snapshot is being built is judged again in that transaction.
"""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import OperationalError, transaction
from django.utils import timezone

from annotation.domain.quality import quality_fault
from annotation.quality_text import reasons_of
from annotation.services import project_search
from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.core.actors import SYSTEM
from flywheel.core.batching import batched
from flywheel.core.union_find import UnionFind
from flywheel.datasets import manifest
from flywheel.datasets.models import Snapshot, SnapshotRefusal, SnapshotRow
from flywheel.datasets.refusal_text import frozen_sentence
from flywheel.datasets.selectors import (
    Settled,
    flagged_records,
    settled_chunks,
    settled_count,
    tainted_count,
    unsettled_count,
)
from flywheel.datasets.services.build_rows import rows_clear, rows_insert
from flywheel.datasets.services.spool import Spool, Spooled, group_sizes
from flywheel.datasets.services.taint import rows_taint
from flywheel.work.claims import Claim, JobCancelled, JobFailed, Superseded
from provenance.domain.gate import LEGAL_HOLD, RecordFacts, Verdict, cleared_until, verdict
from provenance.selectors import ledger_seq, record_facts, records_changed_since
from training.contract.rows import SPLITS
from training.contract.snapshot import (
    CARD,
    MANIFEST,
    TREE,
    group_node,
    groups_split,
    manifest_write,
    messages_build,
    rows_file,
)
from training.contract.snapshot.writer import SnapshotWriter

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a build starts anew because facts changed under it; after that it is frozen as tainted."""

BATCH = 1000
Status = Snapshot.Status


class FactsChanged(Exception):
    """Records that were cleared when they were read are refused by now."""

    def __init__(self, record_ids: list[int]) -> None:
        super().__init__(f"{len(record_ids)} records are no longer cleared")
        self.record_ids = record_ids


@dataclass(slots=True)
class Build:
    """One attempt: what was requested, since when, and what it has counted so far."""

    snapshot: Snapshot
    claim: Claim
    now: datetime
    seq: int
    folder: Path
    groups: UnionFind[int] = field(default_factory=UnionFind[int])
    refused: Counter[str] = field(default_factory=Counter)
    flags: set[str] = field(default_factory=set)
    cleared_until: datetime | None = None
    read: int = 0
    total: int = 0
    counted: dict[str, Any] = field(default_factory=dict)
    """What the writer counted: rows, root, files and statistics by their keys in the manifest."""

    @property
    def root(self) -> str:
        """The Merkle root (hex), once the rows are written."""
        return str(self.counted["merkle_root"])

    @property
    def rows(self) -> int:
        """Rows of all splits, once they are written."""
        return int(self.counted["rows"])


def snapshot_build(claim: Claim) -> str:
    """Build and freeze the snapshot of a job, and return the sentence that the job ends in.

    The snapshot ends as frozen, tainted (facts kept changing under it), cancelled, or failed with the reason. One
    that has ended already is left as it is. Raises Superseded, JobCancelled and JobFailed, and the errors of a
    database or disk that may be back soon.
    """
    snapshot = Snapshot.objects.select_related("project", "requested_by").get(job=claim.job)
    held = ""
    try:
        for attempt in range(1, ATTEMPTS + 1):
            if snapshot.status != Status.BUILDING:
                break
            try:
                held = _attempt(snapshot, claim, last=attempt == ATTEMPTS)
            except FactsChanged as change:
                log.info("snapshot %s starts anew: %s", snapshot.uid, change)
            snapshot.refresh_from_db()
    except Superseded:
        # Another attempt builds it now, so this one must not touch it.
        raise
    except JobCancelled as cancelled:
        _build_end(snapshot, claim, Status.CANCELLED, "")
        raise JobCancelled("Cancelled; nothing was frozen.") from cancelled
    except (OperationalError, OSError) as error:
        # The database or the disk may be back soon, so the job is tried again.
        Snapshot.objects.filter(pk=snapshot.pk).update(error=f"{type(error).__name__}: {error}"[:2000])
        raise
    except Exception as error:
        log.exception("snapshot %s could not be built", snapshot.uid)
        sentence = f"{type(error).__name__}: {error}"
        _build_end(snapshot, claim, Status.FAILED, sentence)
        raise JobFailed(sentence) from error
    # Also reached by an attempt that finds a snapshot which the attempt before froze just before it was killed.
    if snapshot.status == Status.CANCELLED:
        raise JobCancelled("Cancelled; nothing was frozen.")
    if snapshot.status == Status.FAILED:
        raise JobFailed(snapshot.error)
    gone = tainted_count(snapshot) if snapshot.status == Status.TAINTED else 0
    taint = f" {gone} rows were withdrawn meanwhile, so it is tainted." if gone else ""
    frozen = frozen_sentence(rows=snapshot.row_count, refused=snapshot.refused_counts, root=snapshot.merkle_root)
    return f"{frozen}{held}{taint}"


def _attempt(snapshot: Snapshot, claim: Claim, *, last: bool) -> str:
    # A new attempt throws away what the one before wrote. The lock makes it wait for a stale worker's last insert,
    # which is then part of what is thrown away.
    with transaction.atomic():
        claim.lock()
        rows_clear(snapshot)
    with tempfile.TemporaryDirectory(prefix="flywheel-snapshot-") as folder:
        # The place in the ledger is read before the first fact is: whatever commits after it is looked at again.
        build = Build(snapshot, claim, now=timezone.now(), seq=ledger_seq(), folder=Path(folder))
        build.total = 2 * settled_count(snapshot.project)
        spool = Spool(build.folder / "spool.sqlite3")
        try:
            _rows_read(build, spool)
            _rows_write(build, spool)
        finally:
            spool.close()
        _documents_write(build)
        _files_store(build)
        _snapshot_freeze(build, last=last)
    return " Some rows are under a legal hold." if LEGAL_HOLD in build.flags else ""


# -- first pass: read, ask both gates, keep what is cleared -----------------------------------------------------------
def _rows_read(build: Build, spool: Spool) -> None:
    # Answers are searched for personal data soon after they are given; here it is done for those that were not yet.
    for _ in project_search(project=build.snapshot.project):
        _progress_report(build)
    for batch in settled_chunks(build.snapshot.project):
        with transaction.atomic():
            build.claim.lock()
            facts = record_facts([item.record_id for item in batch])
            kept, refusals, asked = [], [], build.snapshot
            for item in batch:
                found = facts[item.record_id]
                judged = verdict(found, asked.purpose, asked.region, asked.commercial, build.now)
                row = _row_of(build, item, found)
                reasons = _refusal_reasons(item, row, judged)
                if row is None or reasons:
                    refusals.append(_refusal(build, item, reasons))
                else:
                    kept.append(row)
                    _row_note(build, item, found, judged)
            SnapshotRefusal.objects.bulk_create(refusals)
        spool.add(kept)
        build.read += len(batch)
        _progress_report(build)


def _row_of(build: Build, item: Settled, facts: RecordFacts) -> Spooled | None:
    messages = messages_build(
        item.redacted, context_length=item.context_length, reply=item.reply,
        system_prompt=build.snapshot.system_prompt, include_notes=item.include_notes,
    )
    if not messages or not item.reply.strip():
        return None
    extra = {"annotation": str(item.annotation_uid), "kind": item.kind}
    if item.language:
        extra["language"] = item.language
    return Spooled(
        uid=str(item.example_uid), node=group_node("near", item.group_key), label=item.label,
        example_id=item.example_id, annotation_id=item.annotation_id, record_id=item.record_id,
        license=facts.license_spdx, source=item.source, provenance=str(item.record_uid), messages=messages, extra=extra,
    )


def _refusal_reasons(item: Settled, row: Spooled | None, judged: Verdict) -> list[dict[str, str]]:
    reasons = [
        {"rule": r.rule, "value": r.value, "fix": r.fix}
        for r in reasons_of(quality_fault(state="settled", reply=item.reply, searched=item.searched))
    ]
    if not item.active:
        reasons.append({"rule": "example_withdrawn", "value": "withdrawn or erased", "fix": "nothing brings it back"})
    if row is not None and not _is_unicode(row):
        reasons.append({
            "rule": "not_unicode", "value": "half a surrogate pair", "fix": "deliver the conversation again, clean",
        })
    if row is None and not reasons:
        reasons.append({
            "rule": "no_context", "value": "the customer said nothing before the reply",
            "fix": "such a conversation cannot teach an answer; leave it out",
        })
    return reasons + [reason.to_json() for reason in judged.reasons]


def _is_unicode(row: Spooled) -> bool:
    # One row that cannot be written must not keep all others from being frozen.
    try:
        "".join((row.label, row.license, row.source, *(m.content for m in row.messages), *row.extra.values())).encode()
    except UnicodeEncodeError:
        return False
    return True


def _refusal(build: Build, item: Settled, reasons: list[dict[str, str]]) -> SnapshotRefusal:
    build.refused[reasons[0]["rule"]] += 1
    return SnapshotRefusal(
        snapshot=build.snapshot, example_id=item.example_id, rule=reasons[0]["rule"], reasons=reasons
    )


def _row_note(build: Build, item: Settled, facts: RecordFacts, judged: Verdict) -> None:
    near = group_node("near", item.group_key)
    build.groups.join([near, *(group_node("subject", s.uid) for s in facts.subjects)])
    build.flags.update(judged.flags)
    if judged.expires_at is not None and (build.cleared_until is None or judged.expires_at < build.cleared_until):
        asked = build.snapshot
        ends = cleared_until(facts, asked.purpose, asked.region, asked.commercial, build.now)
        if ends is not None and (build.cleared_until is None or ends < build.cleared_until):
            build.cleared_until = ends


# -- second pass: split, write, hash ----------------------------------------------------------------------------------
def _rows_write(build: Build, spool: Spool) -> None:
    roots, sizes = group_sizes(spool, build.groups.root)
    splits = groups_split(sizes, seed=build.snapshot.seed, shares=build.snapshot.shares)
    spool.place(roots, {root: SPLITS.index(split) for root, split in splits.items()})
    with SnapshotWriter(build.folder) as writer:
        for number, split in enumerate(SPLITS):
            with writer.split_rows(split) as append:
                for batch in batched(spool.split(number, split), BATCH):
                    leaves = [append(placed.row) for placed in batch]
                    rows_insert(build.claim, [
                        (build.snapshot.pk, index, leaf.hex(), placed.row.split, placed.row.group, placed.example_id,
                         placed.annotation_id, placed.record_id)
                        for placed, (index, leaf) in zip(batch, leaves, strict=True)
                    ])
                    build.read += len(batch)
                    _progress_report(build)
    build.counted = writer.facts()


def _progress_report(build: Build) -> None:
    """Report progress, check for cancellation, extend the claim."""
    build.claim.progress(min(build.read, build.total), total=build.total)


# -- the end: documents, storage, one freezing transaction -------------------------------------------------------------
def _documents_write(build: Build) -> None:
    snapshot = build.snapshot
    request = manifest.Request(
        uid=str(snapshot.uid), name=snapshot.name, project=snapshot.project.slug, purpose=snapshot.purpose,
        region=snapshot.region, commercial=snapshot.commercial, seed=snapshot.seed, shares=snapshot.shares,
        system_prompt=snapshot.system_prompt,
    )
    snapshot.manifest = manifest.manifest_build(
        request, build.counted, refused=build.refused,
        unsettled=unsettled_count(snapshot.project), created_at=timezone.now(),
        flags={flag: flag in build.flags for flag in ("share_alike", "attribution")},
        cleared_until=build.cleared_until,
    )
    (build.folder / CARD).write_bytes(manifest.card_bytes(snapshot.manifest))
    snapshot.manifest = manifest_write(build.folder, snapshot.manifest)


def _files_store(build: Build) -> None:
    """Copy the files to storage, the manifest last: a folder with a manifest is whole."""
    # The root in the path keeps two attempts that saw different states apart, should they ever overlap.
    build.snapshot.path = f"snapshots/{build.snapshot.uid}/{build.root[:16]}"
    for name in (*map(rows_file, SPLITS), TREE, CARD, MANIFEST):
        target = f"{build.snapshot.path}/{name}"
        # Files that another attempt has frozen under this name meanwhile must stay, so the claim is checked for each.
        with transaction.atomic():
            build.claim.lock()
        if default_storage.exists(target):
            default_storage.delete(target)
        with (build.folder / name).open("rb") as file:
            default_storage.save(target, File(file))


def _snapshot_freeze(build: Build, *, last: bool) -> None:
    snapshot = build.snapshot
    with transaction.atomic():
        build.claim.lock()
        locked = Snapshot.objects.select_for_update().get(pk=snapshot.pk)
        # First and not last: the ledger's lock makes every change of facts come either before this, and then the
        # next line sees it, or after, and then its walk finds the frozen rows and taints them.
        ledger_append(
            actor=snapshot.requested_by, action=Action.SNAPSHOT_FREEZE, object=f"snapshot:{snapshot.uid}",
            touched={"snapshot": [snapshot.pk]},
            payload={
                "merkle_root": build.root, "rows": build.rows, "refused": dict(build.refused),
                "splits": {split: entry["rows"] for split, entry in build.counted["splits"].items()},
            },
        )
        gone = _no_longer_cleared(build)
        if gone and not last:
            raise FactsChanged(gone)
        _frozen_save(locked, build, tainted=bool(gone))
        if gone:
            rows_taint(record_ids=gone, snapshots=[locked.pk])


def _no_longer_cleared(build: Build) -> list[int]:
    """Records of this snapshot that were cleared when they were read and would be refused now."""
    now, gone = timezone.now(), flagged_records(build.snapshot)
    held = SnapshotRow.objects.filter(snapshot=build.snapshot)
    if build.cleared_until is not None and build.cleared_until <= now:
        suspects: Iterator[int] = held.values_list("record_id", flat=True).iterator()
    else:
        suspects = iter(set(records_changed_since(build.seq)))
    asked = build.snapshot
    for batch in batched(suspects):
        mine = list(held.filter(record_id__in=batch).values_list("record_id", flat=True).distinct())
        for pk, facts in record_facts(mine).items():
            if not verdict(facts, asked.purpose, asked.region, asked.commercial, now).cleared:
                gone.append(pk)
    return gone


def _frozen_save(snapshot: Snapshot, build: Build, *, tainted: bool) -> None:
    now = timezone.now()
    snapshot.status = Status.TAINTED if tainted else Status.FROZEN
    snapshot.tainted_at = now if tainted else None
    snapshot.frozen_at, snapshot.error, snapshot.path = now, "", build.snapshot.path
    snapshot.merkle_root, snapshot.manifest = build.root, build.snapshot.manifest
    snapshot.row_count = build.rows
    snapshot.split_counts = {split: entry["rows"] for split, entry in build.counted["splits"].items()}
    snapshot.refused_counts = dict(sorted(build.refused.items()))
    snapshot.share_alike = "share_alike" in build.flags
    snapshot.cleared_until = build.cleared_until
    snapshot.save()


def _build_end(snapshot: Snapshot, claim: Claim, status: str, error: str) -> None:
    with transaction.atomic():
        claim.lock()
        if Snapshot.objects.filter(pk=snapshot.pk, status=Status.BUILDING).update(status=status, error=error[:2000]):
            rows_clear(snapshot)
            ledger_append(
                actor=SYSTEM, action=Action(f"snapshot.{status}"), object=f"snapshot:{snapshot.uid}",
                touched={"snapshot": [snapshot.pk]},
            )
