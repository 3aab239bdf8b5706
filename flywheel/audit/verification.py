"""Verification of the ledger as a job on the Jobs page."""

from __future__ import annotations

from flywheel.audit.ledger import ledger_verify
from flywheel.core.models import User
from flywheel.work.claims import Claim, JobFailed
from flywheel.work.jobs import job_add
from flywheel.work.models import Job

VERIFY_KIND = "ledger.verify"
OBJECT = "ledger"


def ledger_verify_request(*, by: User) -> Job:
    """Request a verification of the whole chain. Returns the waiting or running job if there is one."""
    return job_add(
        kind=VERIFY_KIND, dedupe_key=OBJECT, title="Verify the ledger", requested_by=by, object_ref=OBJECT,
        unit="entries",
    )


def ledger_verify_run(claim: Claim) -> str:
    """Verify the chain and return the result as a sentence. Raises JobFailed for a broken chain, and JobCancelled."""
    # Verification has no steps, so it can be cancelled only before it starts.
    claim.cancel_check()
    report = ledger_verify()
    if not report.ok:
        raise JobFailed(
            f"Broken at entry {report.broken_seq}: {report.reason}. The {report.entries:,} before it fit."
        )
    heads = f", and {report.heads:,} signed heads" if report.heads else ""
    return f"All {report.entries:,} entries fit{heads}."
