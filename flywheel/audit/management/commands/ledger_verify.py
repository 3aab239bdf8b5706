"""manage.py ledger_verify: read the whole chain; exit 1 and name the first entry that does not fit."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from flywheel.audit.checkpoints import SignedHead, heads_read
from flywheel.audit.ledger import ledger_verify
from flywheel.core.errors import ValidationFailed


class Command(BaseCommand):
    help = "Verify the ledger's hash chain; exits 1 naming the first broken entry."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Heads from elsewhere."""
        parser.add_argument("--heads", metavar="FILE", help="signed heads that were kept elsewhere")

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify."""
        try:
            anchored = _anchored(options["heads"])
        except (ValidationFailed, OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{options['heads']}: {error}", returncode=2) from error
        report = ledger_verify(anchored=anchored)
        if not report.ok:
            raise CommandError(f"broken at entry {report.broken_seq}: {report.reason}", returncode=1)
        self.stdout.write(f"ok: {report.entries} entries, {report.heads} signed heads")


def _anchored(name: str | None) -> list[SignedHead]:
    if not name:
        return []
    with Path(name).open(encoding="utf-8") as file:
        return list(heads_read(file))
