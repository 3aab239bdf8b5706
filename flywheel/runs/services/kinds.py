"""What differs between the two kinds of remote jobs: their specification, their files, their events, their end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Generic, TypeVar

from django.conf import settings

from flywheel.core.errors import NotFound, TooLarge, ValidationFailed
from flywheel.datasets.models import Snapshot
from flywheel.datasets.selectors import unusable
from flywheel.runs.models import RemoteJob, RunArtifact, SuggestionBatch, TrainingRun
from flywheel.runs.services.artifacts import MODEL_FOLDER, adapter_files, snapshot_files
from flywheel.runs.services.leases import LeaseLost
from flywheel.runs.services.suggestions import generate_spec, suggestions_complete, suggestions_prepare
from flywheel.runs.services.worker_events import run_complete, run_report

J = TypeVar("J", bound=RemoteJob)
SUGGESTIONS = "suggestions.jsonl"
MAX_FILES = 500
MAX_BYTES = 64 * 1024**3
MAX_SUGGESTIONS_BYTES = 64 * 1024**2


class RemoteKind(ABC, Generic[J]):
    """The acts of one kind of remote job. Locking, leases and money are the same for all and are not here."""

    folder: ClassVar[str]
    """Folder below file storage that uploads go to."""

    counts_by_heartbeat: ClassVar[bool] = False
    """Whether the heartbeat reports progress; a kind with events counts by them."""

    def prepare(self, job: J) -> None:
        """Make what the trainer needs before the job is sent. May run twice."""

    def refusal(self, job: J) -> str:
        """Why a trainer must not begin the job now; "" when it may."""
        return ""

    @abstractmethod
    def lease_facts(self, job: J) -> dict[str, Any]:
        """What the answer to a lease holds besides attempt and length: spec, files, last_seq."""

    @abstractmethod
    def file_path(self, job: J, part: str, path: str) -> str:
        """Storage path of a file that the trainer may read. Raises NotFound for all others, and LeaseLost."""

    @abstractmethod
    def events_take(self, job: J, token: str, events: Iterable[Any]) -> int:
        """Store reported events and return the highest number known. Raises NotFound where a kind has none."""

    @abstractmethod
    def upload_limit(self, job: J, path: str) -> int:
        """The largest size of an upload in bytes. Raises ValidationFailed for a path that the kind does not take."""

    @abstractmethod
    def upload_show(self, job: J, *, path: str, stored: str, sha256: str, size: int) -> None:
        """Make a stored upload part of the locked job. Raises TooLarge."""

    @abstractmethod
    def complete(self, job: J, token: str, body: dict[str, Any]) -> J:
        """End the job with its result."""


class RunKind(RemoteKind[TrainingRun]):
    """Training runs: they read a snapshot, report events, and leave files and a result."""

    folder = "runs"

    def refusal(self, job: TrainingRun) -> str:
        return unusable(job.snapshot)

    def lease_facts(self, job: TrainingRun) -> dict[str, Any]:
        return {"spec": job.spec, "files": snapshot_files(job), "last_seq": job.last_seq}

    def file_path(self, job: TrainingRun, part: str, path: str) -> str:
        if part != "snapshot":
            raise NotFound(f"a training run has no {part}")
        if job.snapshot.status == Snapshot.Status.TAINTED:
            raise LeaseLost(
                f"rows of snapshot {job.snapshot.name!r} belong to people who withdrew their consent; stop"
            )
        if path not in {file["path"] for file in snapshot_files(job)}:
            raise NotFound(f"the snapshot of this job has no file {path[:120]!r}")
        return f"{job.snapshot.path}/{path}"

    def events_take(self, job: TrainingRun, token: str, events: Iterable[Any]) -> int:
        return run_report(run=job, token=token, events=events)

    def upload_limit(self, job: TrainingRun, path: str) -> int:
        return int(settings.FLYWHEEL.get("ARTIFACT_MAX_BYTES", MAX_BYTES))

    def upload_show(self, job: TrainingRun, *, path: str, stored: str, sha256: str, size: int) -> None:
        if job.artifacts.exclude(path=path).count() >= MAX_FILES:
            raise TooLarge(f"run {job.uid} has {MAX_FILES} files already; no more are taken")
        RunArtifact.objects.update_or_create(
            run=job, path=path, defaults={"storage_path": stored, "sha256": sha256, "size": size}
        )

    def complete(self, job: TrainingRun, token: str, body: dict[str, Any]) -> TrainingRun:
        return run_complete(run=job, token=token, result=body.get("result"))


class BatchKind(RemoteKind[SuggestionBatch]):
    """Batches of suggestions: they read prompts and a model, and leave one file of answers."""

    folder = "suggestions"
    counts_by_heartbeat = True

    def prepare(self, job: SuggestionBatch) -> None:
        suggestions_prepare(batch=job)

    def lease_facts(self, job: SuggestionBatch) -> dict[str, Any]:
        return {
            "spec": generate_spec(job).to_json(), "files": adapter_files(job.model), "adapter": True, "last_seq": 0
        }

    def file_path(self, job: SuggestionBatch, part: str, path: str) -> str:
        if part == "prompts":
            return job.prompts_path
        if part == "adapter":
            found = RunArtifact.objects.filter(run=job.model.run_id, path=MODEL_FOLDER + path).first()
            if found is None:
                raise NotFound(f"the model of this job has no file {path[:120]!r}")
            return found.storage_path
        raise NotFound(f"a batch of suggestions has no {part}")

    def events_take(self, job: SuggestionBatch, token: str, events: Iterable[Any]) -> int:
        raise NotFound("a batch of suggestions takes no events; report its progress with the heartbeat")

    def upload_limit(self, job: SuggestionBatch, path: str) -> int:
        if path != SUGGESTIONS:
            raise ValidationFailed(f"a batch of suggestions leaves {SUGGESTIONS} only, not {path!r}", field="path")
        return MAX_SUGGESTIONS_BYTES

    def upload_show(self, job: SuggestionBatch, *, path: str, stored: str, sha256: str, size: int) -> None:
        job.results_path = stored
        job.save(update_fields=["results_path"])

    def complete(self, job: SuggestionBatch, token: str, body: dict[str, Any]) -> SuggestionBatch:
        return suggestions_complete(batch=job, token=token)


KINDS: dict[str, RemoteKind[Any]] = {"run": RunKind(), "suggestions": BatchKind()}
"""Both kinds by the word for them in addresses, messages and the ledger, which is also the job's kind."""


def kind_of(job: RemoteJob) -> RemoteKind[Any]:
    """The acts of a job's kind."""
    return KINDS[job.kind]
