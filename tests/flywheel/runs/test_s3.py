"""Trainers' files in a bucket: what they are given, what they leave."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from django.test import Client

from flywheel.runs.models import RunArtifact, TrainingRun
from tests.s3 import bucket  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db


@pytest.fixture
def stored_in_a_bucket(bucket: Any) -> Any:  # noqa: F811
    """Named so that it comes before the fixtures that store files."""
    return bucket


def test_a_trainer_is_given_and_leaves_files_in_a_bucket(
    stored_in_a_bucket: Any, leased: tuple[TrainingRun, str]
) -> None:
    run, token = leased
    client = Client(headers={"Authorization": f"Bearer {token}"})
    address = f"/api/v1/worker/run/{run.uid}"
    given = client.get(f"{address}/snapshot/manifest.json")
    body = b"".join(given.streaming_content)
    assert (given.status_code, int(given["Content-Length"])) == (200, len(body))

    weights = b"w" * 300_000
    digest = hashlib.sha256(weights).hexdigest()
    for _ in range(2):
        left = client.put(
            f"{address}/artifacts/model/adapter_model.safetensors", weights, content_type="application/octet-stream",
            headers={"X-Content-SHA256": digest},
        )
        assert left.status_code in (200, 201), left.content
    artifact = RunArtifact.objects.get(run=run)
    assert stored_in_a_bucket.Object(artifact.storage_path).content_length == 300_000
    assert len([k for k in stored_in_a_bucket.objects.all() if digest in k.key]) == 1
