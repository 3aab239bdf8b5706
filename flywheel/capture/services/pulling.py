"""Pulling from other systems on a schedule, with a cursor per source."""

from __future__ import annotations

import logging
from collections import Counter

from django.db import transaction
from django.utils import timezone

from flywheel.capture.connectors import CONNECTORS, ConnectorError, PullConnector
from flywheel.capture.models import Source, SourcePull
from flywheel.capture.services.ingest import capture_bulk
from flywheel.work.claims import Claim
from flywheel.work.jobs import job_add
from flywheel.work.models import Job

log = logging.getLogger(__name__)

PULL_KIND = "capture.pull"
BAD_KEPT = 20
"""Bad rows of the last pull that are kept for the source's page."""


def pulls_due() -> int:
    """Queue a pull of every source whose turn it is. Returns how many were queued."""
    now, queued = timezone.now(), 0
    pulling = [key for key, connector in CONNECTORS.items() if isinstance(connector, PullConnector)]
    for source in Source.objects.filter(active=True, kind__in=pulling).select_related("pull"):
        connector = CONNECTORS[source.kind]
        if not isinstance(connector, PullConnector) or not connector.pulls(source.options):
            continue
        # A source that was never pulled has no row, and Django raises for the absent side of a one-to-one link.
        last = getattr(source, "pull", None)
        if last is not None and last.started_at is not None and last.started_at > now - connector.every:
            continue
        # A pull that takes longer than the interval must not get a second one beside it: both would read the same.
        if not Job.objects.filter(kind=PULL_KIND, dedupe_key=str(source.pk), finished_at=None).exists():
            job_add(kind=PULL_KIND, payload={"source": source.pk}, dedupe_key=str(source.pk))
            queued += 1
    return queued


def source_pull(claim: Claim) -> None:
    """Pull one source until its connector has no more. The cursor is stored after each step.

    A failure of the other system is kept for the source's page, and the pull is tried again on schedule.
    """
    source = Source.objects.filter(pk=claim.payload["source"], active=True).select_related("owner").first()
    connector = CONNECTORS.get(source.kind) if source else None
    # Switched off or changed to another connector after the pull was queued.
    if source is None or not isinstance(connector, PullConnector) or not connector.pulls(source.options):
        return
    pull, _ = SourcePull.objects.get_or_create(source=source)
    pull.started_at, pull.error, pull.bad_rows = timezone.now(), "", []
    pull.captured = pull.repeated = pull.bad = 0
    pull.save()
    try:
        more = True
        while more:
            step = connector.pull(source.options, pull.cursor)
            counts: Counter[str] = Counter()
            # Each chunk extends the claim, because a first pull may take hours.
            for outcome in capture_bulk(
                source=source, lines=step.rows, by=source.owner, after_chunk=lambda _: claim.extend()
            ):
                counts[outcome.status] += 1
                if outcome.status in ("bad", "conflict") and len(pull.bad_rows) < BAD_KEPT:
                    pull.bad_rows.append({"line": outcome.line, "reason": outcome.reason})
            # Stored after the rows are committed: a crash in between pulls the step again, and repeated rows are
            # no-ops.
            pull.cursor, more = step.cursor, step.more
            pull.captured += counts["captured"]
            pull.repeated += counts["repeated"]
            pull.bad += counts["bad"] + counts["conflict"]
            # The lock makes a worker that was presumed dead fail here instead of setting the cursor back.
            with transaction.atomic():
                claim.lock()
                pull.save()
    except ConnectorError as error:
        log.warning("source %s could not be pulled: %s", source.name, error)
        pull.error = str(error)[:2000]
    pull.finished_at = timezone.now()
    pull.save()
