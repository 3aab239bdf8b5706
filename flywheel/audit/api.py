"""REST: the ledger."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.generics import ListAPIView

from flywheel.audit.models import LedgerEntry
from flywheel.core.api import KeysetPagination


class LedgerOut(serializers.ModelSerializer[LedgerEntry]):
    class Meta:
        model = LedgerEntry
        fields = ("seq", "at", "actor", "action", "object", "payload", "payload_sha256", "previous", "entry_sha256")


class Ledger(ListAPIView[LedgerEntry]):
    """The ledger, newest entry first."""

    permission = "ledger.view"
    serializer_class = LedgerOut
    pagination_class = KeysetPagination

    def get_queryset(self) -> QuerySet[LedgerEntry]:
        """All entries, or those of one thing: `?object=snapshot:<uid>`."""
        thing = self.request.query_params.get("object")
        return LedgerEntry.objects.filter(object=thing) if thing else LedgerEntry.objects.all()
