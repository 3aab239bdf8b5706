"""manage.py ledger_head: the chain's head, signed, as one line of JSON to be kept elsewhere."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from flywheel.audit.checkpoints import head_sign


class Command(BaseCommand):
    help = "Print the ledger's signed head; give it back later with ledger_verify --heads FILE."

    def handle(self, *args: Any, **options: Any) -> None:
        """Sign."""
        head = head_sign()
        if head is None:
            raise CommandError("the ledger has no entry yet, so there is nothing to sign")
        self.stdout.write(head.line())
