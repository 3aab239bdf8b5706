"""`manage.py runs_defaults --by NAME`: what runs need before the first one, where it is not there yet.

For an installation without demo people; `prepare` does the same for one with them.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from flywheel.core.errors import UserError
from flywheel.core.models import User
from flywheel.runs import services


class Command(BaseCommand):
    help = "Make the default recipes, this machine's CPU as a device, a managed price and this month's budget."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--by", required=True, help="the admin in whose name they are made")

    def handle(self, *args: Any, **options: Any) -> None:
        by = User.objects.filter(username=options["by"], is_active=True).first()
        if by is None:
            raise CommandError(f"no active person is called '{options['by']}'; make one with manage.py createsuperuser")
        try:
            services.defaults_ensure(by=by)
        except UserError as error:
            raise CommandError(error.message) from None
        self.stdout.write("Recipes, device, price and budget are there; see /recipes/ and /budgets/.")
