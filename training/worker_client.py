"""The web as a worker sees it: one job's calls over HTTP with the job's token, tried again while the web is away.

The one file of the trainer that touches the network. What is sent and when is left to the worker.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from training.models import file_sha256

HEARTBEAT_SECONDS = 2.0
CHUNK = 1024 * 1024
RETRIED = {408, 425, 429, 500, 502, 503, 504}


class LeaseLost(Exception):
    """The web does not know us as this job's worker any more."""


class Rejected(Exception):
    """The web refused what we sent, and would again."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where things are. `command` starts the trainer; `transport` replaces the network in tests."""

    url: str
    work_dir: Path
    models_dir: Path
    command: tuple[str, ...] = (sys.executable, "-m", "training")
    transport: httpx.BaseTransport | None = None
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    patience_seconds: float = 600.0
    """How long one call is tried again while the web is away, once training is over."""

    @classmethod
    def from_environment(cls) -> Settings:
        """FLYWHEEL_URL, FLYWHEEL_WORK_DIR, FLYWHEEL_MODELS_DIR, with FLYWHEEL_VAR_DIR as the base of the folders."""
        var = var_dir()
        return cls(
            url=os.environ.get("FLYWHEEL_URL", "http://127.0.0.1:8000"),
            work_dir=Path(os.environ.get("FLYWHEEL_WORK_DIR") or var / "work").absolute(),
            models_dir=Path(os.environ.get("FLYWHEEL_MODELS_DIR") or var / "models").absolute(),
        )


def var_dir() -> Path:
    """The folder of everything that is made at run time."""
    return Path(os.environ.get("FLYWHEEL_VAR_DIR") or Path(__file__).resolve().parents[1] / "var")


class Web:
    """The web's side of one job, over HTTP with the job's token. Safe to use from two threads."""

    def __init__(self, settings: Settings, kind: str, job_id: str, token: str) -> None:
        self.patience = settings.patience_seconds
        self.client = httpx.Client(
            base_url=f"{settings.url.rstrip('/')}/api/v1/worker/{kind}/{job_id}/", transport=settings.transport,
            headers={"Authorization": f"Bearer {token}"}, timeout=httpx.Timeout(15.0, read=60.0),
        )

    def post(self, path: str, body: dict[str, Any], *, patience: float | None = None) -> dict[str, Any]:
        """Send JSON, get JSON."""
        answer: dict[str, Any] = self._patiently(lambda: self.client.post(path, json=body), patience).json()
        return answer

    def put_file(self, path: str, file: Path) -> None:
        """Upload one file with its digest."""
        digest, size = file_sha256(file), file.stat().st_size
        headers = {"X-Content-SHA256": digest, "Content-Length": str(size), "Content-Type": "application/octet-stream"}
        self._patiently(lambda: self.client.put(path, content=_chunks(file), headers=headers))

    def get_file(self, path: str, target: Path, sha256: str) -> None:
        """Download one file, whole or not at all; a file that is there already is kept."""
        if target.is_file() and (not sha256 or file_sha256(target) == sha256):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")

        def fetch() -> httpx.Response:
            with self.client.stream("GET", path) as response:
                if response.is_success:
                    with part.open("wb") as file:
                        for chunk in response.iter_bytes(CHUNK):
                            file.write(chunk)
                else:
                    response.read()
                return response

        self._patiently(fetch)
        if sha256 and file_sha256(part) != sha256:
            raise Rejected(f"{path} arrived damaged; its SHA-256 is not {sha256}")
        part.replace(target)

    def _patiently(self, call: Callable[[], httpx.Response], patience: float | None = None) -> httpx.Response:
        """Call until it is answered: while the web is away again and again, ever less often."""
        deadline = time.monotonic() + (self.patience if patience is None else patience)
        wait = 0.5
        while True:
            try:
                response = call()
            except httpx.TransportError as error:
                problem: Exception = error
            else:
                if response.is_success:
                    return response
                if response.status_code in (401, 403):
                    raise LeaseLost(_words(response))
                if response.status_code not in RETRIED:
                    raise Rejected(_words(response))
                problem = Rejected(_words(response))
            if time.monotonic() + wait > deadline:
                raise problem
            time.sleep(wait)
            wait = min(wait * 2, 10.0)


def _words(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"the web answered {response.status_code}"


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk
