"""Django's admin of the house's own tables.

It shows the outbox and long jobs for looking after a fault; changing what people work on is left to the apps' services.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from flywheel.core.models import Job, OutboxMessage
from flywheel.core.outbox import outbox_retry


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows are looked at, never added, changed or deleted here."""

    # Counting a table to show its length would take longer the longer it is.
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


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
