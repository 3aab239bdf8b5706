"""A project with tasks, a frozen snapshot in storage, and runs in each state, made without the stations before."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from annotation.models import Project, Task
from flywheel.capture.models import Capture, Example, Source
from flywheel.core.models import User
from flywheel.datasets.models import Snapshot, SnapshotRow
from flywheel.runs import selectors, services
from flywheel.runs.models import Budget, Device, Recipe, RemoteJob, TrainingRun
from flywheel.work.jobs import jobs_drain
from provenance.models import ProvenanceRecord, Subject
from tests.training import builders as training

ROOT = "ab" * 32


def project(slug: str = "support") -> Project:
    return Project.objects.create(name=slug.capitalize(), slug=slug, label_config="<View/>")


def source(owner: User) -> Source:
    return Source.objects.create(name=f"src-{uuid.uuid4().hex[:8]}", owner=owner, license_spdx="CC0-1.0")


def example(of: Source, text: str = "Where is my parcel?", **fields: Any) -> Example:
    number = uuid.uuid4().hex[:12]
    record = ProvenanceRecord.objects.create(
        source_system=of.name, source_record_id=number, content_sha256="0" * 64, captured_at=timezone.now(),
        captured_by="test",
    )
    capture = Capture.objects.create(
        source=of, external_id=number, version="1", kind="ticket", payload="{}", payload_sha256="0" * 64,
        order_key="1",
    )
    messages = [{"role": "customer", "author": "c", "at": None, "text": text},
                {"role": "agent", "author": "a", "at": None, "text": "On its way."}]
    return Example.objects.create(**{
        "source": of, "external_id": number, "kind": "ticket", "capture": capture, "provenance": record,
        "conversation": messages, "redacted": messages, "context_length": 1, "text_sha256": "0" * 64,
        "group_key": number,
    } | fields)


def tasks(where: Project, of: Source, count: int) -> list[Task]:
    return [Task.objects.create(project=where, example=example(of, f"Where is parcel {i}?")) for i in range(count)]


# 1,500 tokens in train at 4 characters a token and 5 tokens a message.
TOKEN_STATISTICS = {
    "train": {"messages": 48, "characters": 5040}, "validation": {"messages": 8, "characters": 840},
    "test": {"messages": 12, "characters": 1260},
}


@functools.cache
def snapshot_files() -> tuple[dict[str, bytes], str]:
    """The files of the trainer's own test snapshot and its root; the same in every test, so written once."""
    with TemporaryDirectory() as folder:
        path, root = training.snapshot(Path(folder) / "snapshot")
        return {file.name: file.read_bytes() for file in path.iterdir()}, root


def snapshot(where: Project, by: User, examples: Sequence[Example] = (), **fields: Any) -> Snapshot:
    """A frozen snapshot with real files, whose rows are joined to `examples`."""
    name = uuid.uuid4().hex[:8]
    files, root = snapshot_files()
    for file, content in files.items():
        default_storage.save(f"snapshots/{name}/{file}", ContentFile(content))
    made = Snapshot.objects.create(**{
        "name": f"snap-{name}", "project": where, "purpose": "sft", "region": "EU", "requested_by": by,
        "status": Snapshot.Status.FROZEN, "merkle_root": root, "row_count": 34, "path": f"snapshots/{name}",
        "split_counts": {"train": 24, "validation": 4, "test": 6}, "system_prompt": "You are a helpful agent.",
        "frozen_at": timezone.now(), "manifest": {"token_statistics": {"splits": TOKEN_STATISTICS}},
    } | fields)
    SnapshotRow.objects.bulk_create([
        SnapshotRow(snapshot=made, leaf_index=i, leaf_sha256="0" * 64, split="train", group_key=e.group_key, example=e,
                    record=e.provenance)
        for i, e in enumerate(examples)
    ])
    return made


def person_in(snapshot: Snapshot, leaf: int = 0, ref: str = "c") -> Subject:
    """The person behind one row of a snapshot."""
    subject, _ = Subject.objects.get_or_create(namespace="n", external_ref=ref)
    snapshot.rows.get(leaf_index=leaf).record.subjects.add(subject)
    return subject


def recipe(**fields: Any) -> Recipe:
    return Recipe.objects.create(**{
        "name": f"tiny-{uuid.uuid4().hex[:6]}", "base_model": "tiny", "base_parameters": 164_000, "base_layers": 2,
        "base_width": 64, "hyperparameters": {"epochs": 2, "learning_rate": 0.01, "batch_size": 2, "max_length": 128,
                                              "checkpoint_every": 2},
        "evaluation": {"generate_rows": 1, "max_new_tokens": 8},
    } | fields)


def device(**fields: Any) -> Device:
    return Device.objects.create(**{
        "name": f"cpu-{uuid.uuid4().hex[:6]}", "price_per_hour": Decimal("3.6"), "peak_gflops": 100.0,
        "priced_on": timezone.now().date(),
    } | fields)


def budget(by: User, cap: str = "100", threshold: str = "50") -> Any:
    return services.budget_set(cap=Decimal(cap), second_person_above=Decimal(threshold), by=by)


def requested(by: User, *, where: Project | None = None, of: Snapshot | None = None, **fields: Any) -> TrainingRun:
    where = where or Project.objects.first() or project()
    of = of or snapshot(where, by)
    return services.run_request(snapshot=of, recipe=fields.pop("recipe", None) or recipe(),
                                device=fields.pop("device", None) or device(), by=by, **fields)


class Messages:
    """What the web sent to the trainers: replaces Celery's send_task."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    def __call__(self, name: str, *, kwargs: dict[str, Any], queue: str, **_: Any) -> None:
        assert (name, queue) == ("training.run_job", "gpu")
        self.sent.append(kwargs)

    def token_of(self, job: RemoteJob) -> str:
        """The newest token that was sent for a job."""
        jobs_drain()
        return next(str(m["token"]) for m in reversed(self.sent) if m["job_id"] == str(job.uid))


def result_of(run: TrainingRun, **fields: Any) -> dict[str, Any]:
    """What a worker tells at the end."""
    return {
        "run_id": str(run.uid), "status": "done", "snapshot_root": run.snapshot.merkle_root, "base_model": "tiny",
        "base_revision": "r1", "steps": 10, "train_seconds": 5.0, "tokens": {"trained": 3000},
        "speed": {"real_tokens_per_s": 600.0},
        "evaluation": {"split": "test", "rows": 40, "tokens": 400, "base_loss": 3.0, "tuned_loss": 2.0,
                       "samples": [{"id": "ex-1", "prompt": "Hi", "reference": "a", "base_reply": "b",
                                    "tuned_reply": "c"}]},
    } | fields


def event(seq: int, kind: str = "metric", **data: Any) -> dict[str, Any]:
    """One event as a trainer tells it."""
    return {"seq": seq, "at": timezone.now().isoformat(), "kind": kind, "data": data}


def budget_now() -> Budget:
    """This month's budget."""
    return Budget.objects.get(month=selectors.month_of())


def back(run: TrainingRun, **fields: Any) -> None:
    """Set what time or another process would have changed."""
    TrainingRun.objects.filter(pk=run.pk).update(**fields)
    run.refresh_from_db()
