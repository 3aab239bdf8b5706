"""Files between web and trainers: what a run leaves, what a snapshot or a model consists of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import IO, Any

from django.core.files.storage import default_storage

from flywheel.core.errors import Conflict, NotFound, ValidationFailed
from flywheel.runs.models import ModelVersion, TrainingRun

MANIFEST = "manifest.json"
MODEL_FOLDER = "model/"
CHUNK = 1024 * 1024

def manifest_of(run: TrainingRun) -> dict[str, Any] | None:
    """The run's own manifest as it was uploaded, None before that. Raises ValidationFailed when it is not one."""
    artifact = run.artifacts.filter(path=MANIFEST).first()
    if artifact is None:
        return None
    with default_storage.open(artifact.storage_path) as file:
        try:
            files = json.load(file)["files"]
            return {str(name): {"sha256": str(f["sha256"]), "bytes": int(f["bytes"])} for name, f in files.items()}
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValidationFailed(
                f"the manifest of run {run.uid} cannot be read ({error}); upload it again"
            ) from error


def model_check(run: TrainingRun) -> bool:
    """Whether the run left a whole model: every model file of its manifest uploaded, with the digest it states.

    Raises Conflict when some are missing or differ: weights are uploaded first, the manifest last.
    """
    manifest = manifest_of(run)
    stated = {n: f for n, f in (manifest or {}).items() if n.startswith(MODEL_FOLDER)}
    if not stated:
        return False
    have = dict(run.artifacts.filter(path__startswith=MODEL_FOLDER).values_list("path", "sha256"))
    for name, facts in sorted(stated.items()):
        if have.get(name) != facts["sha256"]:
            raise Conflict(f"model file {name} of run {run.uid} is missing or differs from the manifest; upload it")
    return any(name.endswith(".safetensors") for name in stated)


def adapter_files(model: ModelVersion) -> list[dict[str, Any]]:
    """What a trainer needs of a model to answer with it: path below the model's folder, digest, size."""
    files = model.run.artifacts.filter(path__startswith=MODEL_FOLDER).order_by("path")
    return [{"path": f.path.removeprefix(MODEL_FOLDER), "sha256": f.sha256, "bytes": f.size} for f in files]


def snapshot_files(run: TrainingRun) -> list[dict[str, Any]]:
    """The snapshot's files with digest and size: the manifest, and the splits that it names."""
    snapshot = run.snapshot
    manifest_path = f"{snapshot.path}/{MANIFEST}"
    with default_storage.open(manifest_path) as file:
        body = file.read()
    splits = json.loads(body)["splits"].values()
    files = [{"path": s["file"], "sha256": s["sha256"], "bytes": s["bytes"]} for s in splits]
    return [*files, {"path": MANIFEST, "sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}]


def stored_open(storage_path: str) -> IO[bytes]:
    """A stored file for reading. Raises NotFound."""
    if not storage_path or not default_storage.exists(storage_path):
        raise NotFound("the file is not in storage any more")
    file: IO[bytes] = default_storage.open(storage_path)
    return file


def chunks_of(file: IO[bytes]) -> Iterator[bytes]:
    """A file in pieces of constant size, closed at the end."""
    with file:
        while chunk := file.read(CHUNK):
            yield chunk
