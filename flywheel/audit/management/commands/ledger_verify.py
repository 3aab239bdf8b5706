"""manage.py ledger_verify: verify the whole chain. Exits 1 and names the first broken entry."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from flywheel.audit.checkpoints import Checkpoint, checkpoints_read
from flywheel.audit.ledger import ledger_verify
from flywheel.core.errors import ValidationFailed


class Command(BaseCommand):
    help = "Verify the ledger's hash chain; exits 1 naming the first broken entry."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The file with checkpoints that were kept elsewhere."""
        parser.add_argument("--heads", metavar="FILE", help="signed heads that were kept elsewhere")

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify."""
        try:
            anchored: list[Checkpoint] = []
            if options["heads"]:
                with Path(options["heads"]).open(encoding="utf-8") as file:
                    anchored = list(checkpoints_read(file))
        except (ValidationFailed, OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{options['heads']}: {error}", returncode=2) from error
        report = ledger_verify(anchored=anchored)
        if not report.ok:
            # Exit code 1 is for a broken chain only. A file that cannot be read is 2, because a script must not report
            # it as one.
            raise CommandError(f"broken at entry {report.broken_seq}: {report.reason}", returncode=1)
        self.stdout.write(f"ok: {report.entries} entries, {report.heads} signed heads")
