"""Make an embedded installation ready: migrations, demo people, the sample, recipes and the base model."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management import BaseCommand, CommandError, CommandParser, call_command
from tqdm import tqdm

from annotation.services import tasks_make
from flywheel.capture.models import Example
from flywheel.capture.services import process_captures
from flywheel.core.errors import ValidationFailed
from flywheel.ops import prepare
from flywheel.ops.demo.datasets import SampleMaterial
from flywheel.runs.services import defaults_ensure
from flywheel.stats.registry import stats_refresh
from flywheel.work.jobs import jobs_drain


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--model", choices=[prepare.REAL_MODEL, prepare.TINY_MODEL], action="append")
        parser.add_argument("--limit", type=int, help="how many conversations of the sample")
        parser.add_argument("--port", type=int, help="the port that the web will listen on: refuses when it is taken")
        parser.add_argument("--json", action="store_true", help="print the new passwords as a JSON line")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["port"] is not None:
            self._port(options["port"])
        call_command("migrate", verbosity=0)
        passwords = prepare.people_ensure()
        if not Example.objects.exists():
            self._sample(options["limit"])
        defaults_ensure(by=prepare.person("admin"))
        for model in options["model"] or [prepare.TINY_MODEL, prepare.REAL_MODEL]:
            self._base_model(model)
        self._passwords_print(passwords, as_json=options["json"])

    @staticmethod
    def _port(port: int) -> None:
        try:
            prepare.port_check(port)
        except ValidationFailed as error:
            raise CommandError(error.message) from None

    def _sample(self, limit: int | None) -> None:
        material = SampleMaterial()
        material.plan(limit)
        captured = len(list(material.capture(by=prepare.person("admin"))))
        with tqdm(desc="sample", total=captured, unit=" conversations", file=sys.stderr) as progress:
            while done := process_captures(limit=50):
                progress.update(done)
        material.consent(by=prepare.person("steward"))
        project = prepare.project_ensure(sources=material.sources)
        while tasks_make(project=project):
            pass
        while jobs_drain():
            pass
        stats_refresh(due_only=False)

    def _base_model(self, model: str) -> None:
        if not (prepare.base_model_folder(model) / "revision.json").exists():
            self.stderr.write(f"making the base model {model} of its packaged weights …")
        try:
            prepare.base_model_ensure(model)
        except RuntimeError as error:
            raise CommandError(str(error)) from error

    def _passwords_print(self, passwords: dict[str, str], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps({"passwords": passwords}))
            return
        if not passwords:
            self.stdout.write("Demo people are there already; `manage.py changepassword NAME` sets a new password.")
            return
        width = max(map(len, passwords))
        lines = [f"  {name:<{width}}  {password}" for name, password in passwords.items()]
        self.stdout.write("\n".join(["", "Demo people and their passwords, shown only this once:", "", *lines, ""]))
