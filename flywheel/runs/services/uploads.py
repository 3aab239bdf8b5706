"""Uploads of trainers: a file is spooled, hashed and only then stored and shown, so half of one is never visible."""

from __future__ import annotations

import hashlib
import re
import tempfile
from typing import IO, Any

from django.core.files import File
from django.core.files.storage import default_storage
from django.db import transaction

from flywheel.core.errors import TooLarge, ValidationFailed
from flywheel.runs.models import RemoteJob
from flywheel.runs.services.kinds import kind_of
from flywheel.runs.services.leases import job_locked, lease_check

CHUNK = 1024 * 1024
MAX_PATH = 300
SPOOL_IN_MEMORY = 4 * 1024 * 1024

_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,99}){0,4}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def path_check(path: str) -> None:
    """Raises ValidationFailed for anything but a relative path of plain names, which could leave its folder."""
    if len(path) > MAX_PATH or not _PATH.fullmatch(path) or ".." in path:
        raise ValidationFailed(
            f"path {path[:120]!r} is not allowed; use names of letters, digits, '.', '_' and '-', at most five folders "
            f"deep and {MAX_PATH} characters long", field="path",
        )


def artifact_store(
    *, job: RemoteJob, token: str, path: str, stream: IO[bytes], sha256: str, size: int
) -> dict[str, Any]:
    """Take one file of `size` bytes whose SHA-256 is `sha256`. The same file again changes nothing.

    Returns {"path", "sha256", "bytes"}. Raises ValidationFailed when the bytes are not those, TooLarge, TokenRefused
    and LeaseLost.
    """
    path_check(path)
    if not _SHA256.fullmatch(sha256):
        raise ValidationFailed(f"X-Content-SHA256 is {sha256[:80]!r}; give the file's SHA-256, 64 hex digits")
    kind = kind_of(job)
    limit = kind.upload_limit(job, path)
    if size > limit:
        raise TooLarge(f"{path} has {size:,} bytes; at most {limit:,} are taken")
    lease_check(job)
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_IN_MEMORY) as spool:
        digest = _spool(stream, spool, size, path)
        if digest != sha256:
            raise ValidationFailed(
                f"{path} arrived as {digest}, not as {sha256}; send it again", code="digest_mismatch"
            )
        spool.seek(0)
        # Named by its content: the same file again, or from the next attempt, is stored once.
        stored = f"{kind.folder}/{job.uid}/{sha256}"
        if not default_storage.exists(stored):
            stored = default_storage.save(stored, File(spool, name=path))
    with transaction.atomic():
        # The upload may have outlasted the lease. A file of a stale worker stays in storage and is never shown.
        locked = job_locked(job, token)
        lease_check(locked)
        kind.upload_show(locked, path=path, stored=stored, sha256=sha256, size=size)
    return {"path": path, "sha256": sha256, "bytes": size}


def _spool(stream: IO[bytes], spool: Any, size: int, path: str) -> str:
    """Copy exactly `size` bytes and hash them. Raises ValidationFailed when the stream ends early."""
    digest, left = hashlib.sha256(), size
    while left:
        chunk = stream.read(min(CHUNK, left))
        if not chunk:
            raise ValidationFailed(f"{path} ended {left:,} bytes early; send it again", code="incomplete")
        digest.update(chunk)
        spool.write(chunk)
        left -= len(chunk)
    return digest.hexdigest()
