"""result.json: the result before the first step, and whether the one in a folder belongs to the same run."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

from training.contract import RunResult, RunSpec
from training.errors import BadInput

RESULT_FILE = "result.json"
# Their versions decide the numbers of a run.
LIBRARIES = ("torch", "transformers", "trl", "peft", "tokenizers", "safetensors", "pyarrow")


def result_begin(spec: RunSpec) -> RunResult:
    """The result as known before the first step; its status is "failed" until the run ends otherwise."""
    return RunResult(
        spec.run_id, "failed", spec.snapshot.merkle_root, spec.base_model, method=spec.method, tuning=spec.tuning,
        seed=spec.seed, libraries={name: _version(name) for name in LIBRARIES},
        code_version=_version("flywheel"),
    )


def result_of_same_run(out: Path, asked: RunResult) -> RunResult | None:
    """The result in `out` if it belongs to the requested run, None without one. Raises BadInput for another run's."""
    try:
        found = RunResult.from_json(json.loads((out / RESULT_FILE).read_bytes()))
    except (OSError, ValueError, RecursionError):
        return None
    for name in ("snapshot_root", "base_revision", "method", "tuning", "seed"):
        was, now = getattr(found, name), getattr(asked, name)
        if was != now:
            raise BadInput(f"{out} holds another run: {name} was {was!r}, is {now!r}; use an empty folder or the "
                           "same specification")
    return found


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"
