"""What home's tests share: one example that went the whole way round the wheel."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.utils import timezone

from annotation.label_config import DEFAULT
from annotation.models import Annotation, Membership, Project, Review, Suggestion, Task
from flywheel.capture.models import Capture, Example, Source
from flywheel.core.models import User
from flywheel.datasets.models import Snapshot, SnapshotRow
from flywheel.runs.models import Device, ModelVersion, Recipe, TrainingRun
from flywheel.stats.registry import stats_refresh
from provenance.models import GateReason, GateVerdict, ProvenanceRecord

REPLY = [{"type": "textarea", "value": {"text": ["Write to <EMAIL_1> & wait."]}}]


@dataclass(frozen=True, slots=True)
class Turn:
    """A project with two examples: `taught` went the whole way, `waiting` has an open task."""

    project: Project
    taught: Example
    waiting: Example
    model: ModelVersion


@pytest.fixture
def source(admin: User) -> Source:
    return Source.objects.create(name="acme", owner=admin, license_spdx="CC0-1.0", purposes=["sft"])


@pytest.fixture
def project(source: Source) -> Project:
    project = Project.objects.create(name="Replies", slug="replies", label_config=DEFAULT)
    project.sources.add(source)
    return project


def example_make(source: Source, number: int) -> Example:
    record = ProvenanceRecord.objects.create(
        source_system=source.name, source_record_id=f"T-{number}", content_sha256="a" * 64, captured_at=timezone.now(),
        captured_by="test", personal_data="redacted",
    )
    capture = Capture.objects.create(
        source=source, external_id=f"T-{number}", version="1", kind="ticket", payload="{}", payload_sha256="b" * 64,
        order_key="1", status="processed",
    )
    talk = [{"role": "customer", "author": "c", "at": None, "text": "Help <script>alert(1)</script> me, <PERSON_1>"}]
    return Example.objects.create(
        source=source, external_id=f"T-{number}", kind="ticket", capture=capture, provenance=record, redacted=talk,
        conversation=talk, pii=[{"type": "PERSON"}], text_sha256=f"{number:064d}", group_key=f"{number:064d}",
    )


@pytest.fixture
def turn(project: Project, source: Source, annotator: User, reviewer: User, lead: User) -> Turn:
    taught, waiting = example_make(source, 1), example_make(source, 2)
    now = timezone.now()
    Task.objects.create(project=project, example=waiting)
    task = Task.objects.create(project=project, example=taught, state="settled", settled_at=now)
    answer = Annotation.objects.create(
        task=task, project=project, author=annotator, result=REPLY, state="accepted", suggestion_origin="agent",
        suggestion_use="edited", edit_distance=0.25, lead_time_seconds=40,
    )
    Review.objects.create(annotation=answer, task=task, reviewer=reviewer, decision="accept", comment="Good.")
    GateVerdict.objects.create(record=taught.provenance, purpose="sft", region="EU", cleared=True, judged_at=now)
    refused = GateVerdict.objects.create(
        record=waiting.provenance, purpose="sft", region="EU", cleared=False, judged_at=now,
        reasons=[{"rule": "no_consent", "value": "subject acme/c", "fix": "record one"}],
    )
    GateReason.objects.create(verdict=refused, purpose="sft", region="EU", rule="no_consent")
    model = model_make(project, taught, answer, lead)
    return Turn(project, taught, waiting, model)


def model_make(project: Project, example: Example, answer: Annotation, lead: User) -> ModelVersion:
    now = timezone.now()
    snapshot = Snapshot.objects.create(
        name="snap", project=project, purpose="sft", region="EU", status="frozen", frozen_at=now, requested_by=lead
    )
    SnapshotRow.objects.create(
        snapshot=snapshot, leaf_index=0, leaf_sha256="c" * 64, split="train", group_key="g", example=example,
        annotation=answer, record=example.provenance,
    )
    run = TrainingRun.objects.create(
        kind="run", visible=True, title="Train run-1", name="run-1", snapshot=snapshot, status="done", finished_at=now - timedelta(minutes=1),
        recipe=Recipe.objects.create(name="short", base_model="tiny"),
        device=Device.objects.create(name="cpu", price_per_hour="0.1", peak_gflops=50, priced_on=now.date()),
    )
    model = ModelVersion.objects.create(
        name="gen-1", project=project, generation=1, run=run, status="champion", promoted_at=now
    )
    Suggestion.objects.create(example=example, origin="model", origin_name="gen-1", text="Hello")
    return model


@pytest.fixture
def member(project: Project, annotator: User, reviewer: User, lead: User) -> Project:
    """The project with its annotator, reviewer and lead in it."""
    for user, role in ((annotator, "annotator"), (reviewer, "reviewer"), (lead, "lead")):
        Membership.objects.create(project=project, user=user, role=role)
    return project


def count_all() -> None:
    """What beat does within a minute: every app's counting."""
    stats_refresh(due_only=False)
    stats_refresh(due_only=False)
