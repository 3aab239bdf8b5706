"""manage.py ledger_head: print a signed checkpoint of the chain as one line of JSON, to keep elsewhere."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from flywheel.audit.checkpoints import checkpoint_sign


class Command(BaseCommand):
    help = "Print the ledger's signed head; give it back later with ledger_verify --heads FILE."

    def handle(self, *args: Any, **options: Any) -> None:
        """Sign."""
        head = checkpoint_sign()
        if head is None:
            raise CommandError("the ledger has no entry yet; sign it after the first change of state")
        self.stdout.write(head.line())
