"""Django's admin of jobs, for investigating a fault."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from flywheel.core.admin import ReadOnly
from flywheel.work.jobs import jobs_retry
from flywheel.work.models import Job


@admin.register(Job)
class JobAdmin(ReadOnly):
    """Jobs with their errors; those that were given up can be tried again."""

    list_display = ("id", "kind", "title", "status", "attempts", "created_at", "finished_at", "error", "summary")
    list_filter = ("status", "visible", "kind")
    ordering = ("-id",)
    actions = ("try_again",)
    # The hash of a live claim's token is of no use to a reader.
    exclude = ("claim_sha256",)

    @admin.action(description="Try jobs that were given up again", permissions=["view"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        count = jobs_retry(job_ids=list(queryset.values_list("pk", flat=True)))
        self.message_user(request, f"{count} dead jobs are tried again.")
