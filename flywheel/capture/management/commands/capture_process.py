"""`manage.py capture_process`: process waiting captures here and now, without a worker."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from tqdm import tqdm

from flywheel.capture import services


class Command(BaseCommand):
    help = "Process all waiting captures in this process."

    def handle(self, *args: Any, **options: Any) -> None:
        total = 0
        with tqdm(unit=" captures", disable=None) as bar:
            while count := services.process_captures():
                total += count
                bar.update(count)
        self.stdout.write(f"{total} captures processed")
