"""Reading the files of a run."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from training.contract import RunEvent, RunResult


def events(out: Path, kind: str | None = None) -> list[RunEvent]:
    found = [RunEvent.from_json(json.loads(line)) for line in (out / "events.jsonl").read_text().splitlines()]
    assert [e.seq for e in found] == list(range(1, len(found) + 1))
    return [e for e in found if kind in (None, e.kind)]


def result(out: Path) -> RunResult:
    return RunResult.from_json(json.loads((out / "result.json").read_text()))


def losses(out: Path) -> list[tuple[int, float]]:
    return [(e.data["step"], e.data["loss"]) for e in events(out, "metric") if "loss" in e.data]


def weights(out: Path) -> str:
    """Digest of the weights file that the run wrote."""
    (path,) = [*(out / "model").glob("*model.safetensors")]
    return hashlib.sha256(path.read_bytes()).hexdigest()
