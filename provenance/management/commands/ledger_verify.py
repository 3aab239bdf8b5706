"""manage.py ledger_verify: read the whole chain; exit 1 and name the first entry that does not fit."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from provenance.ledger import ledger_verify


class Command(BaseCommand):
    help = "Verify the ledger's hash chain; exits 1 naming the first broken entry."

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify."""
        report = ledger_verify()
        if not report.ok:
            raise CommandError(f"broken at entry {report.broken_seq}: {report.reason}", returncode=1)
        self.stdout.write(f"ok: {report.entries} entries")
