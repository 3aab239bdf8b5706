"""Verifying the ledger as a job that people watch."""

from __future__ import annotations

from flywheel.audit.ledger import ledger_verify
from flywheel.core.models import User
from flywheel.work.claims import Claim, JobFailed
from flywheel.work.jobs import job_add
from flywheel.work.models import Job

VERIFY_KIND = "ledger.verify"
OBJECT = "ledger"


def ledger_verify_request(*, by: User) -> Job:
    """Ask for the whole chain to be read. While one waits or runs, that one is returned."""
    return job_add(
        kind=VERIFY_KIND, dedupe_key=OBJECT, title="Verify the ledger", requested_by=by, object_ref=OBJECT,
        unit="entries",
    )


def ledger_verify_run(claim: Claim) -> str:
    """Read the chain. Returns what was found; raises JobFailed when the chain is broken, and JobCancelled."""
    # The reading has no steps, so a cancel counts before it only.
    claim.cancel_check()
    report = ledger_verify()
    if not report.ok:
        raise JobFailed(
            f"Broken at entry {report.broken_seq}: {report.reason}. The {report.entries:,} before it fit."
        )
    heads = f", and {report.heads:,} signed heads" if report.heads else ""
    return f"All {report.entries:,} entries fit{heads}."
