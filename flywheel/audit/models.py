"""The ledger: one hash chain over every change of state."""

from __future__ import annotations

from django.db import models


class LedgerHead(models.Model):
    """The one row that appending locks: the length and the last hash of the chain."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    seq = models.BigIntegerField(default=0)
    entry_sha256 = models.CharField(max_length=64, default="0" * 64)

    def __str__(self) -> str:
        return f"head at {self.seq}"


class LedgerEntry(models.Model):
    """One link of the hash chain over every change of state. The database refuses to change or delete one."""

    seq = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    action = models.CharField(max_length=80)
    object = models.CharField(max_length=200)
    payload = models.JSONField(default=dict)
    payload_sha256 = models.CharField(max_length=64)
    previous = models.CharField(max_length=64)
    entry_sha256 = models.CharField(max_length=64)

    class Meta:
        indexes = [models.Index(fields=["object", "-seq"], name="ledger_by_object")]

    def __str__(self) -> str:
        return f"{self.seq} {self.action} {self.object}"
