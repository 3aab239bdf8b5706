"""HTTP client of the worker API: one job's calls with the job's token, retried while the web is unreachable.

The only module of the trainer that uses the network.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tenacity import Retrying, retry_if_exception_type, stop_before_delay, wait_exponential

from training.contract.files import file_sha256

HEARTBEAT_SECONDS = 2.0
CHUNK = 1024 * 1024
RETRIED = {408, 425, 429, 500, 502, 503, 504}
"""HTTP statuses that may pass by themselves."""


class LeaseLost(Exception):
    """The web no longer accepts this worker for the job."""


class Rejected(Exception):
    """The web refused the request and would refuse it again."""


class WebBusy(Rejected):
    """The web answered with a status that may pass; raised when the retries are used up."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Addresses and folders. `command` starts the trainer; `transport` replaces the network in tests."""

    url: str
    work_dir: Path
    models_dir: Path
    command: tuple[str, ...] = (sys.executable, "-m", "training")
    transport: httpx.BaseTransport | None = None
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    patience_seconds: float = 600.0
    """How long one call is retried while the web is unreachable, once training is over."""

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
    """The folder for everything that is created at run time."""
    return Path(os.environ.get("FLYWHEEL_VAR_DIR") or Path(__file__).resolve().parents[2] / "var")


class WebClient:
    """Calls for one job with the job's token. Safe to use from two threads."""

    def __init__(self, settings: Settings, kind: str, job_id: str, token: str) -> None:
        self.patience = settings.patience_seconds
        self.client = httpx.Client(
            base_url=f"{settings.url.rstrip('/')}/api/v1/worker/{kind}/{job_id}/", transport=settings.transport,
            headers={"Authorization": f"Bearer {token}"}, timeout=httpx.Timeout(15.0, read=60.0),
        )

    def post(self, path: str, body: dict[str, Any], *, patience: float | None = None) -> dict[str, Any]:
        """Send JSON and return the JSON answer. Retries for `patience` seconds (the settings' value for None).

        Raises LeaseLost, Rejected, and httpx.TransportError when the web stays unreachable.
        """
        answer: dict[str, Any] = self._retried(lambda: self.client.post(path, json=body), patience).json()
        return answer

    def put_file(self, path: str, file: Path) -> None:
        """Upload one file with its SHA-256. Raises as `post`."""
        digest, size = file_sha256(file), file.stat().st_size
        headers = {"X-Content-SHA256": digest, "Content-Length": str(size), "Content-Type": "application/octet-stream"}

        def content() -> Iterator[bytes]:
            # Opened anew for each attempt, because a retry must send the file from its first byte.
            with file.open("rb") as stream:
                while chunk := stream.read(CHUNK):
                    yield chunk

        self._retried(lambda: self.client.put(path, content=content(), headers=headers))

    def get_file(self, path: str, target: Path, sha256: str) -> None:
        """Download one file atomically; a file with this digest (hex, "" for any) is kept. Raises as `post`."""
        if target.is_file() and (not sha256 or file_sha256(target) == sha256):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        # Renamed when complete, because the next attempt keeps files that are there already.
        part = target.with_name(f".{target.name}.part")

        def fetch() -> httpx.Response:
            with self.client.stream("GET", path) as response:
                if response.is_success:
                    with part.open("wb") as file:
                        for chunk in response.iter_bytes(CHUNK):
                            file.write(chunk)
                else:
                    # The error message is in the body, which a streamed response does not read by itself.
                    response.read()
                return response

        self._retried(fetch)
        if sha256 and file_sha256(part) != sha256:
            # Checked before the rename, so that a file with its final name is always a whole one.
            raise Rejected(f"{path} arrived damaged; its SHA-256 is not {sha256}")
        part.replace(target)

    def _retried(self, call: Callable[[], httpx.Response], patience: float | None = None) -> httpx.Response:
        """Call with exponential backoff until the web answers; raise the last problem when patience is used up."""

        def attempt() -> httpx.Response:
            response = call()
            if response.is_success:
                return response
            try:
                message = str(response.json()["error"]["message"])
            except (ValueError, KeyError, TypeError):
                # A proxy in front of the web answers in its own format.
                message = f"the web answered {response.status_code}"
            # The web answers so once the job was leased again: its token is another one then.
            if response.status_code in (401, 403):
                raise LeaseLost(message)
            raise WebBusy(message) if response.status_code in RETRIED else Rejected(message)

        retrying = Retrying(
            retry=retry_if_exception_type((httpx.TransportError, WebBusy)), wait=wait_exponential(0.5, max=10.0),
            stop=stop_before_delay(self.patience if patience is None else patience), reraise=True,
        )
        return retrying(attempt)
