"""What annotation does by itself: make tasks of new examples, free leases that ran out, search answers.

Beat and the jobs that follow an annotation run it. Each may run twice, or at the same time as itself, and changes
nothing the second time.
"""

from __future__ import annotations

from celery import shared_task

from annotation import services
from annotation.models import Project
from flywheel.work.claims import Claim
from flywheel.work.registry import job_kind

MAKE_LIMIT = 2_000


@shared_task(name="annotation.make_tasks", ignore_result=True)
def make_tasks() -> int:
    """Tasks of new examples, for every project that is not paused; one small query each when there is nothing new."""
    made = 0
    for project in Project.objects.filter(archived_at=None).order_by("pk"):
        # In bounded transactions, because the project's row stays locked and each batch is one ledger entry.
        while count := services.tasks_make(project=project, limit=MAKE_LIMIT):
            made += count
    return made


@shared_task(name="annotation.reconcile_tasks", ignore_result=True)
def reconcile_tasks() -> int:
    """Look at all examples again, for those that became eligible late."""
    projects = Project.objects.filter(archived_at=None).order_by("pk")
    return sum(services.tasks_reconcile(project=project) for project in projects)


@shared_task(name="annotation.sweep_leases", ignore_result=True)
def sweep_leases() -> int:
    """Free the places of leases that ran out."""
    return services.leases_sweep(limit=2_000)


@job_kind("annotation.search")
def search(claim: Claim) -> None:
    """Look for personal data in one annotation."""
    services.annotations_search(annotation_ids=[claim.payload["annotation"]])


@shared_task(name="annotation.sweep_search", ignore_result=True)
def sweep_search() -> int:
    """Queue a search of answers whose job was lost."""
    return services.search_sweep()

