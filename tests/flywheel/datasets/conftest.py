"""A project with settled tasks: what a snapshot is made of, put there directly so that thousands are quick."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.utils import timezone

from annotation.label_config import DEFAULT, label_config_parse
from annotation.models import Annotation, Membership, Project, Task
from flywheel.capture.models import Capture, Example, Source
from flywheel.core.models import User
from flywheel.datasets.models import Snapshot
from flywheel.datasets.services import snapshot_request
from flywheel.work.jobs import job_run, jobs_drain
from flywheel.work.models import Job
from provenance.services import RecordDraft, consent_import, record_provenance_bulk
from tests.conftest import TESTER

PURPOSES = ("sft", "continued_pretraining", "evaluation")
NAMESPACE = uuid.UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")


@dataclass
class House:
    """A source and a project, and the examples that were settled in it."""

    source: Source
    project: Project
    owner: User

    def settle(
        self, count: int, *, start: int = 0, customers: int | None = None, near: int | None = None,
        consent: bool = True, chunk: int = 2000, **record: Any,
    ) -> list[Example]:
        """Make settled examples: `customers` people wrote them, in `near` groups of near-duplicates (each its own)."""
        made: list[Example] = []
        for first in range(start, start + count, chunk):
            numbers = range(first, min(first + chunk, start + count))
            made += self._some(list(numbers), customers or count, near, record)
        if consent:
            consent_import(rows=(self._consent(n) for n in range(customers or start + count)), by=TESTER)
        return made

    def _some(self, numbers: list[int], customers: int, near: int | None, record: dict[str, Any]) -> list[Example]:
        now = timezone.now()
        drafts = [
            RecordDraft(**({
                "source_system": self.source.name, "source_record_id": f"t-{n}", "content_sha256": f"{n:064d}",
                "captured_at": now, "captured_by": "test", "license_spdx": self.source.license_spdx,
                "intended_purposes": PURPOSES, "origin_geography": "EU", "personal_data": "redacted",
                "storage_allowed": ("EU",), "processing_included": ("EU",),
                "subject_refs": (("acme", f"customer-{n % customers}@example.org"),),
            } | record)) for n in numbers
        ]
        records = record_provenance_bulk(drafts)
        captures = Capture.objects.bulk_create([
            Capture(source=self.source, external_id=f"t-{n}", version="1", kind="ticket", payload="{}",
                    payload_sha256="0" * 64, order_key="1", status="processed") for n in numbers
        ])
        examples = Example.objects.bulk_create([
            Example(
                uid=uuid.uuid5(NAMESPACE, f"{self.source.name}/t-{n}"), source=self.source, external_id=f"t-{n}",
                kind="ticket", capture=capture, provenance=records[f"t-{n}"], redacted=conversation(n),
                conversation=conversation(n), context_length=3, text_sha256=f"{n:064d}", language="en",
                group_key=f"g{n % near if near else n}",
            ) for n, capture in zip(numbers, captures, strict=True)
        ])
        tasks = Task.objects.bulk_create([
            Task(project=self.project, example=e, state="settled", available=False, settled_at=now) for e in examples
        ])
        answers = Annotation.objects.bulk_create([
            Annotation(
                uid=uuid.uuid5(NAMESPACE, f"answer/{self.source.name}/t-{n}"), task=task, project=self.project,
                author=self.owner, state="accepted", result=answer(n), searched_at=now,
            ) for n, task in zip(numbers, tasks, strict=True)
        ])
        for task, given in zip(tasks, answers, strict=True):
            task.settled_annotation = given
        Task.objects.bulk_update(tasks, ["settled_annotation"], batch_size=500)
        return examples

    def _consent(self, number: int) -> dict[str, Any]:
        return {
            "namespace": "acme", "subject_ref": f"customer-{number}@example.org",
            "record_id": f"{self.source.name}-{number}", "purposes": list(PURPOSES),
            "lawful_basis": "eu-gdpr:A6-1-a",
            "events": [{"event_time": "2026-01-01T00:00:00Z", "event_state": "ConsentGiven", "entity_id": "form"}],
        }

    def request(self, **fields: Any) -> Snapshot:
        """Ask for a snapshot without building it."""
        wanted: dict[str, Any] = {
            "project": self.project, "name": "Replies", "purpose": "sft", "region": "EU", "seed": 7,
            "shares": {"validation": 0.1, "test": 0.2}, "by": self.owner,
        }
        return snapshot_request(**(wanted | fields))

    def build(self, snapshot: Snapshot) -> Snapshot:
        """Build, taking over from a worker that holds the job as if that one's claim had expired."""
        Job.objects.filter(pk=snapshot.job_id, status="running").update(claim_expires_at=timezone.now())
        job_run(snapshot.job_id)
        snapshot.refresh_from_db()
        return snapshot

    def freeze(self, **fields: Any) -> Snapshot:
        """Ask for a snapshot and have it built."""
        snapshot = self.request(**fields)
        jobs_drain()
        snapshot.refresh_from_db()
        return snapshot


def conversation(number: int) -> list[dict[str, Any]]:
    """Three turns of context with a note among them, and the agent's own reply."""
    return [
        {"role": "customer", "author": "<PERSON_1>", "at": None, "text": f"My order {number} has not come. Why?"},
        {"role": "note", "author": "bot", "at": None, "text": "priority low"},
        {"role": "customer", "author": "<PERSON_1>", "at": None, "text": "I wrote from <EMAIL_1> before."},
        {"role": "agent", "author": "agent", "at": None, "text": "No idea."},
    ]


def answer(number: int) -> list[dict[str, Any]]:
    """An answer in Label Studio's form, of one of three labels."""
    quality = ("Good", "Needs edits", "Wrong")[number % 3]
    return [
        {"id": "a", "from_name": "reply", "to_name": "conversation", "type": "textarea",
         "value": {"text": [f"Sorry for the wait. Order {number} leaves us today and reaches you tomorrow."]}},
        {"id": "b", "from_name": "quality", "to_name": "conversation", "type": "choices",
         "value": {"choices": [quality]}},
    ]


@pytest.fixture
def house(lead: User) -> House:
    """A source and a project with its lead."""
    source = Source.objects.create(name="acme", owner=lead, license_spdx="CC-BY-4.0", subject_namespace="acme")
    project = Project.objects.create(
        name="Support", slug="support", label_config=DEFAULT, label_schema=label_config_parse(DEFAULT).to_json()
    )
    project.sources.add(source)
    Membership.objects.create(project=project, user=lead, role="lead")
    return House(source, project, lead)


@pytest.fixture
def folder_of(settings: Any, tmp_path: Any) -> Callable[[Snapshot], Any]:
    """Where a frozen snapshot's files lie on disk."""
    from pathlib import Path

    def find(snapshot: Snapshot) -> Path:
        return Path(settings.STORAGES["default"]["OPTIONS"]["location"]) / snapshot.path

    return find
