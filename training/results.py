"""result.json: how a run's result begins, and whether the one in a folder is of the same run."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

from training.contract import RunResult, RunSpec
from training.errors import BadInput

RESULT_FILE = "result.json"
LIBRARIES = ("torch", "transformers", "trl", "peft", "tokenizers", "safetensors", "pyarrow")


def result_begin(spec: RunSpec) -> RunResult:
    """What is known of a run before its first step."""
    return RunResult(
        spec.run_id, "failed", spec.snapshot.merkle_root, spec.base_model, method=spec.method, tuning=spec.tuning,
        seed=spec.seed, libraries=libraries(), code_version=_version("flywheel"),
    )


def result_of_same_run(out: Path, asked: RunResult) -> RunResult | None:
    """The result in `out` when it is of the run that is asked for, None for none. Raises BadInput for another's."""
    try:
        found = RunResult.from_json(json.loads((out / RESULT_FILE).read_bytes()))
    except (OSError, ValueError, RecursionError):
        return None
    for name in ("snapshot_root", "base_revision", "method", "tuning", "seed"):
        theirs, ours = getattr(found, name), getattr(asked, name)
        if theirs != ours:
            raise BadInput(f"{out} holds another run: {name} was {theirs!r}, is {ours!r}; use an empty folder or the "
                           "same specification")
    return found


def libraries() -> dict[str, str]:
    """Versions of what decides the numbers."""
    return {name: _version(name) for name in LIBRARIES}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"
