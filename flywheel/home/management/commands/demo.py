"""One whole turn of the wheel without a browser; its last line is JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser, call_command
from tqdm import tqdm

from flywheel.core.errors import UserError
from flywheel.home.demo.material import FileMaterial, SampleMaterial
from flywheel.home.demo.stage import free_port, web_and_trainer
from flywheel.home.demo.turn import DemoFailed, turn
from flywheel.home.prepare import REAL_MODEL, TINY_MODEL, base_model_ensure, people_ensure

RECIPES = {REAL_MODEL: "SmolLM2 135M · LoRA", TINY_MODEL: "Tiny two-layer model · full"}
INSIDE = "FLYWHEEL_DEMO_INSIDE"


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--data", default="", help="a file or folder of dialogues; the shipped sample without it")
        parser.add_argument("--limit", type=int, help="how many conversations at most")
        parser.add_argument("--model", choices=sorted(RECIPES), default=REAL_MODEL)
        parser.add_argument("--license", default="", help="SPDX identifier of the data's licence, if it is your own")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["limit"] is not None and options["limit"] < 1:
            raise CommandError(f"LIMIT is {options['limit']}; give at least 1")
        if INSIDE not in os.environ:
            _start_inside_a_folder_of_its_own()
        folder = Path(settings.VAR_DIR)
        try:
            material = FileMaterial(Path(options["data"]), options["license"]) if options["data"] else SampleMaterial()
            call_command("migrate", verbosity=0)
            self._refuse_used_database()
            people_ensure()
            self.stderr.write(f"base model {options['model']} …")
            base_model_ensure(options["model"])
            with web_and_trainer(folder):
                report = turn(
                    material=material, recipe_name=RECIPES[options["model"]], limit=options["limit"], bar=_bar
                )
        except (DemoFailed, UserError, RuntimeError) as error:
            raise CommandError(f"{error} (logs are in {folder})") from error
        self.stdout.write(json.dumps(dataclasses.asdict(report)))

    @staticmethod
    def _refuse_used_database() -> None:
        from flywheel.capture.models import Capture

        if Capture.objects.exists():
            raise CommandError("the database at DATABASE_URL already holds captures; give the demo an empty one")


def _bar(**options: Any) -> Any:
    return tqdm(**options, file=sys.stderr, dynamic_ncols=True, mininterval=0.5)


def _start_inside_a_folder_of_its_own() -> None:
    """Start again with a database, files and broker that only this demo uses; base models are shared."""
    folder = Path(settings.VAR_DIR) / "demo"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = os.environ | {
        INSIDE: "1",
        "FLYWHEEL_MODELS_DIR": str(settings.FLYWHEEL["MODELS_DIR"]),
        "FLYWHEEL_VAR_DIR": str(folder),
        "FLYWHEEL_URL": f"http://127.0.0.1:{free_port()}",
        "FLYWHEEL_LOG_LEVEL": "WARNING",
    }
    os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606
