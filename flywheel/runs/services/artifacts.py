"""Files between web and trainers: what a run leaves, what a snapshot or a model consists of.

An upload is spooled, hashed and only then stored and shown: a half-uploaded file is never visible.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from typing import IO, Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction

from flywheel.core.errors import Conflict, NotFound, TooLarge, ValidationFailed
from flywheel.runs.models import ModelVersion, RunArtifact, SuggestionBatch, TrainingRun
from flywheel.runs.selectors import Leased
from flywheel.runs.services.leases import job_locked, lease_check

MANIFEST = "manifest.json"
MODEL_FOLDER = "model/"
SUGGESTIONS = "suggestions.jsonl"
CHUNK = 1024 * 1024
MAX_FILES = 500
MAX_PATH = 300
MAX_BYTES = 64 * 1024**3
MAX_SUGGESTIONS_BYTES = 64 * 1024**2
SPOOL_IN_MEMORY = 4 * 1024 * 1024

_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,4}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def path_check(path: str) -> str:
    """A relative path of plain names. Raises Invalid for anything that could leave its folder."""
    if len(path) > MAX_PATH or not _PATH.fullmatch(path) or ".." in path:
        raise ValidationFailed(f"path {path[:120]!r} is not allowed; use names of letters, digits, '.', '_' and '-', "
                      f"at most five folders deep and {MAX_PATH} characters long", field="path")
    return path


def artifact_store(*, run: Leased, token: str, path: str, stream: IO[bytes], sha256: str, size: int) -> dict[str, Any]:
    """Take one file of `size` bytes whose SHA-256 is `sha256`. The same file again changes nothing.

    Raises Invalid when it is not what it says, TooLarge, TokenRefused and LeaseLost.
    """
    path_check(path)
    if not _SHA256.fullmatch(sha256):
        raise ValidationFailed(f"X-Content-SHA256 is {sha256[:80]!r}; give the file's SHA-256, 64 hex digits")
    limit = _limit(run, path)
    if size > limit:
        raise TooLarge(f"{path} has {size:,} bytes; at most {limit:,} are taken")
    lease_check(run)
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_IN_MEMORY) as spool:
        digest = _spool(stream, spool, size, path)
        if digest != sha256:
            raise ValidationFailed(
                f"{path} arrived as {digest}, not as {sha256}; send it again", code="digest_mismatch"
            )
        spool.seek(0)
        stored = _stored_name(run, sha256)
        if not default_storage.exists(stored):
            stored = default_storage.save(stored, File(spool, name=path))
    _artifact_show(run, token, path, stored, sha256, size)
    return {"path": path, "sha256": sha256, "bytes": size}


def _limit(run: Leased, path: str) -> int:
    if isinstance(run, TrainingRun):
        return int(settings.FLYWHEEL.get("ARTIFACT_MAX_BYTES", MAX_BYTES))
    if path != SUGGESTIONS:
        raise ValidationFailed(f"a batch of suggestions leaves {SUGGESTIONS} only, not {path!r}", field="path")
    return MAX_SUGGESTIONS_BYTES


def _spool(stream: IO[bytes], spool: Any, size: int, path: str) -> str:
    """Copy exactly `size` bytes and hash them. Raises Invalid when the stream ends early."""
    digest, left = hashlib.sha256(), size
    while left:
        chunk = stream.read(min(CHUNK, left))
        if not chunk:
            raise ValidationFailed(f"{path} ended {left:,} bytes early; send it again", code="incomplete")
        digest.update(chunk)
        spool.write(chunk)
        left -= len(chunk)
    return digest.hexdigest()


def _stored_name(run: Leased, sha256: str) -> str:
    folder = "runs" if isinstance(run, TrainingRun) else "suggestions"
    return f"{folder}/{run.uid}/{sha256}"


def _artifact_show(run: Leased, token: str, path: str, stored: str, sha256: str, size: int) -> None:
    with transaction.atomic():
        job = job_locked(run, token)
        lease_check(job)
        if isinstance(job, SuggestionBatch):
            job.results_path = stored
            job.save(update_fields=["results_path"])
            return
        assert isinstance(job, TrainingRun)
        if job.artifacts.exclude(path=path).count() >= MAX_FILES:
            raise TooLarge(f"run {job.uid} has {MAX_FILES} files already; no more are taken")
        RunArtifact.objects.update_or_create(
            run=job, path=path, defaults={"storage_path": stored, "sha256": sha256, "size": size}
        )


def manifest_of(run: TrainingRun) -> dict[str, Any] | None:
    """The run's own manifest as it was uploaded, None before that. Raises Invalid when it is not one."""
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
