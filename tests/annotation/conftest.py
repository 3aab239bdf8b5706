"""A project with work: sources, examples, tasks, and its people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from annotation import services
from annotation.models import Membership, Project, Task
from flywheel.capture.models import Capture, Example, Source
from flywheel.core.models import User
from provenance.models import ProvenanceRecord

MESSAGES = [
    {"role": "customer", "author": "Customer", "at": "2025-03-01T09:00:00Z",
     "text": "My kettle leaks. Write to <EMAIL_1>."},
    {"role": "agent", "author": "Agent", "at": "2025-03-01T09:05:00Z", "text": "Please send it back to us."},
]
ANSWER = {"reply": "I am sorry. Please send it back; the label is on its way to <EMAIL_1>.", "quality": "needs_edits"}


def make_source(owner: User, name: str = "acme-tickets") -> Source:
    return Source.objects.create(name=name, owner=owner, license_spdx="CC0-1.0", purposes=["sft"])


def make_examples(source: Source, count: int, *, messages: list[dict[str, Any]] | None = None) -> list[Example]:
    """Examples in bulk, each with capture, provenance record and the agent's reply."""
    now, messages = timezone.now(), messages or MESSAGES
    keys = [uuid4().hex for _ in range(count)]
    captures = Capture.objects.bulk_create([
        Capture(source=source, external_id=key, version="1", kind="ticket", payload="{}", payload_sha256=key,
                order_key="1", received_by=source.owner, status="processed") for key in keys
    ])
    records = ProvenanceRecord.objects.bulk_create([
        ProvenanceRecord(source_system=source.name, source_record_id=key, content_sha256=key, captured_at=now,
                         captured_by="test") for key in keys
    ])
    return Example.objects.bulk_create([
        Example(source=source, external_id=key, kind="ticket", capture=capture, provenance=record,
                redacted_subject_line="Leaking kettle", conversation=messages, redacted=messages, context_length=1,
                text_sha256=key, group_key=key)
        for key, capture, record in zip(keys, captures, records, strict=True)
    ])


@pytest.fixture
def source(lead: User) -> Source:
    return make_source(lead)


@pytest.fixture
def project(lead: User, annotator: User, annotator2: User, reviewer: User, source: Source) -> Project:
    """The default project with overlap 1 and no task."""
    made = services.default_project_ensure(by=lead, sources=[source])
    services.membership_set(project=made, user=annotator, role=Membership.Role.ANNOTATOR)
    services.membership_set(project=made, user=annotator2, role=Membership.Role.ANNOTATOR)
    services.membership_set(project=made, user=reviewer, role=Membership.Role.REVIEWER)
    return made


@pytest.fixture
def stock(project: Project, source: Source) -> Callable[..., list[Task]]:
    """Fill the project: `stock(3)` gives three new tasks, oldest first."""

    def fill(count: int, **kwargs: Any) -> list[Task]:
        make_examples(source, count, **kwargs)
        while services.tasks_make(project=project, limit=10_000):
            pass
        return list(Task.objects.filter(project=project).order_by("-pk")[:count])[::-1]

    return fill


@pytest.fixture
def answer(project: Project) -> list[dict[str, Any]]:
    """A valid answer in the default project."""
    from annotation.domain.labels import result_build
    from annotation.label_config import label_config_of

    return result_build(label_config_of(project), ANSWER)
