"""One whole turn of the wheel without a browser; its last line is JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from django.conf import settings
from django.core.management import BaseCommand, CommandError, CommandParser, call_command
from django.db import DatabaseError
from tqdm import tqdm

from flywheel.core.errors import UserError
from flywheel.ops.demo.datasets import Material, SampleMaterial, plan
from flywheel.ops.demo.pipeline import Console, DemoFailed, Report, turn
from flywheel.ops.demo.processes import claim, free_port, web_and_trainer
from flywheel.ops.demo.user_files import FileMaterial
from flywheel.ops.prepare import REAL_MODEL, TINY_MODEL, base_model_ensure, people_ensure

RECIPES = {REAL_MODEL: "SmolLM2 135M · LoRA", TINY_MODEL: "Tiny two-layer model · full"}
CLAIM = "FLYWHEEL_DEMO_CLAIM"
"""Set for the process that runs inside the demo's own folder: the descriptor that holds the claim on it."""


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--data", default="", help="a file or folder of dialogues; the shipped sample without it")
        parser.add_argument("--limit", type=int, help="how many conversations at most")
        parser.add_argument("--model", choices=sorted(RECIPES), default=REAL_MODEL)
        parser.add_argument("--license", default="", help="SPDX identifier of the data's licence, if it is your own")

    def handle(self, *args: Any, **options: Any) -> None:
        limit = options["limit"]
        if limit is not None and limit < 1:
            raise CommandError(f"LIMIT is {limit}; give at least 1")
        report = Report()
        try:
            # Looked at before anything is cleared away: a slip in DATA keeps the last demo's folder.
            material = FileMaterial(Path(options["data"]), options["license"]) if options["data"] else SampleMaterial()
            planned = plan(material, None if limit is None else min(limit, sys.maxsize))
            if CLAIM not in os.environ:
                _start_inside_a_folder_of_its_own()
            self._turn(material, planned, options["model"], report)
        except (DemoFailed, UserError, DatabaseError, RuntimeError, OSError) as error:
            if report.snapshot_root:
                # The gate was asked: what it said is a result, even if the wheel stopped there.
                self._print(report)
            raise CommandError(f"{error}{_logs()}") from error
        except KeyboardInterrupt:
            self.stderr.write("stopped")
            raise SystemExit(130) from None
        self._print(report)

    def _turn(self, material: Material, planned: int, model: str, report: Report) -> None:
        # Ending the demo, by a person or a supervisor, must end what it started too.
        stop = Stop()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        call_command("migrate", verbosity=0)
        self._refuse_used_database()
        people_ensure()
        self.stderr.write(f"base model {model} …")
        base_model_ensure(model)
        with web_and_trainer(Path(settings.VAR_DIR), claimed=int(os.environ[CLAIM])) as alive:
            console = Console(bar=stop.bar, say=_line_print, alive=alive)
            turn(material=material, planned=planned, recipe_name=RECIPES[model], console=console, report=report)
            stop.check()

    def _print(self, report: Report) -> None:
        self.stdout.write(json.dumps(dataclasses.asdict(report)))

    @staticmethod
    def _refuse_used_database() -> None:
        from flywheel.capture.models import Capture

        if Capture.objects.exists():
            raise CommandError("the database at DATABASE_URL already holds captures; give the demo an empty one")


def _line_print(line: str) -> None:
    tqdm.write(line, file=sys.stderr)


class Stop:
    """What a signal asks for: a KeyboardInterrupt now, and again at the next step of a bar.

    Once is not enough: raised inside a callback of compiled code or a destructor, an exception is
    forgotten.
    """

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, number: int, frame: Any) -> NoReturn:
        self.asked = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal has come before."""
        if self.asked:
            raise KeyboardInterrupt

    def bar(self, **options: Any) -> _Bar:
        """A progress bar that checks at each step."""
        return _Bar(**options, check=self.check, file=sys.stderr, dynamic_ncols=True, mininterval=0.5)


class _Bar(tqdm):  # type: ignore[misc, type-arg]
    def __init__(self, *args: Any, check: Callable[[], None], **options: Any) -> None:
        self.check = check
        super().__init__(*args, **options)

    def update(self, n: float | None = 1) -> bool | None:
        self.check()
        moved: bool | None = super().update(n)
        return moved


def _logs() -> str:
    return f" (logs are in {settings.VAR_DIR})" if CLAIM in os.environ else ""


def _start_inside_a_folder_of_its_own() -> None:
    """Start again with a database, files and broker that only this demo uses; base models are shared."""
    folder = Path(settings.VAR_DIR) / "demo"
    claimed = claim(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = os.environ | {
        CLAIM: str(claimed),
        "FLYWHEEL_MODELS_DIR": str(settings.FLYWHEEL["MODELS_DIR"]),
        "FLYWHEEL_VAR_DIR": str(folder),
        "FLYWHEEL_URL": f"http://127.0.0.1:{free_port()}",
        "FLYWHEEL_LOG_LEVEL": "WARNING",
    }
    os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606
