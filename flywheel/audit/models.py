"""Tables of the ledger: entries, the subjects they touched, and the head row."""

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
    """One link of the hash chain over every change of state. Triggers reject updates and deletes."""

    seq = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    actor = models.CharField(max_length=200)
    action = models.CharField(max_length=80)
    object = models.CharField(max_length=200)
    payload = models.JSONField(default=dict)
    payload_sha256 = models.CharField(max_length=64)
    # Digest of the entry's subjects, so that the chain covers them too.
    subjects_sha256 = models.CharField(max_length=64)
    previous = models.CharField(max_length=64)
    entry_sha256 = models.CharField(max_length=64)

    class Meta:
        indexes = [
            models.Index(fields=["object", "-seq"], name="ledger_by_object"),
            models.Index(fields=["action", "-seq"], name="ledger_by_action"),
            models.Index(fields=["actor", "-seq"], name="ledger_by_actor"),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.action} {self.object}"


class LedgerSubject(models.Model):
    """One thing that an act touched. `ident` is its primary key as text, for every kind."""

    # An act on 10,000 tasks has 10,000 rows here, because the history of each task must be one indexed query.

    # PROTECT, because entries are never deleted; no separate index, because the unique one begins with the entry.
    entry = models.ForeignKey(LedgerEntry, on_delete=models.PROTECT, related_name="subjects", db_index=False)
    kind = models.CharField(max_length=20)
    ident = models.CharField(max_length=60)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["entry", "kind", "ident"], name="ledger_subject_once")]
        indexes = [models.Index(fields=["kind", "ident", "-entry"], name="ledger_by_subject")]

    def __str__(self) -> str:
        return f"{self.kind}:{self.ident} in {self.entry_id}"
