"""Django's admin of outbox messages and jobs, for investigating a fault."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from flywheel.core.admin import ReadOnly
from flywheel.work.models import Job, OutboxMessage
from flywheel.work.outbox import outbox_retry


@admin.register(OutboxMessage)
class OutboxMessageAdmin(ReadOnly):
    """Work that follows commits; what died can be tried again."""

    list_display = ("id", "topic", "attempts", "created_at", "done_at", "dead_at", "last_error")
    list_filter = (("dead_at", admin.EmptyFieldListFilter), ("done_at", admin.EmptyFieldListFilter))
    ordering = ("-id",)
    actions = ("try_again",)

    @admin.action(description="Try the dead ones again", permissions=["view"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[OutboxMessage]) -> None:
        count = outbox_retry(message_ids=list(queryset.values_list("pk", flat=True)))
        self.message_user(request, f"{count} dead messages are tried again.")


@admin.register(Job)
class JobAdmin(ReadOnly):
    """Long jobs and the sentences they ended in."""

    list_display = ("id", "kind", "title", "status", "created_at", "finished_at", "summary")
    ordering = ("-id",)
