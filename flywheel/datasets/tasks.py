"""Work of datasets that follows a commit or the clock. The work itself is in services."""

from __future__ import annotations

from django.urls import reverse

from flywheel.datasets import services
from flywheel.work.claims import Claim
from flywheel.work.models import Job
from flywheel.work.registry import job_kind


def _snapshot_page(job: Job) -> str:
    return reverse("datasets:snapshot", args=[job.object_ref.removeprefix("snapshot:")])


@job_kind("snapshot.build", title="Snapshot build", link=_snapshot_page)
def build(claim: Claim) -> str:
    """Build and freeze one snapshot."""
    return services.snapshot_build(claim)
