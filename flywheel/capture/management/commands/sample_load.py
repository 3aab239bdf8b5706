"""`manage.py sample_load`: the shipped sample's sources, tickets, calls and consents."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from flywheel.capture import services
from flywheel.core.access import ADMIN
from flywheel.core.errors import UserError
from flywheel.core.models import User
from provenance.services import consent_import


class Command(BaseCommand):
    help = "Load the shipped sample: sources, tickets, calls, consents. A second run adds nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--limit", type=int, default=None, help="at most this many conversations")

    def handle(self, *args: Any, **options: Any) -> None:
        owner = User.objects.filter(groups__name=ADMIN, is_active=True).order_by("pk").first()
        owner = owner or User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
        if owner is None:
            raise CommandError("no active user with the role admin exists to own the sources; create one first")
        try:
            counts = self._load(owner, options["limit"])
        except UserError as error:
            raise CommandError(error.message) from None
        self.stdout.write(f"{counts['captured']} captured, {counts['repeated']} repeated, {counts['bad']} bad")

    def _load(self, owner: User, limit: int | None) -> Counter[str]:
        services.sample_sources_ensure(owner=owner, by=owner)
        counts: Counter[str] = Counter()
        for name in ("calls.jsonl", "tickets.jsonl"):
            left = None if limit is None else max(0, limit - counts.total())
            for outcome in services.file_import(path=services.SAMPLE / name, source=None, by=owner, limit=left):
                counts[outcome.status] += 1
        with (services.SAMPLE / "consents.jsonl").open(encoding="utf-8") as file:
            consent_import(rows=(json.loads(line) for line in file if line.strip()), by=owner)
        return counts
