"""Snapshots whose files lie in a bucket: frozen, downloaded, proven, verified as from a folder."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flywheel.capture.models import Example
from flywheel.datasets.models import Snapshot
from tests.flywheel.datasets.conftest import House
from tests.s3 import bucket  # noqa: F401 - a fixture
from training.contract import verify_inclusion

pytestmark = pytest.mark.django_db


@pytest.fixture
def snapshot(bucket: Any, house: House) -> Snapshot:  # noqa: F811
    house.settle(12)
    return house.freeze()


@pytest.mark.slow
def test_a_snapshot_in_a_bucket_verifies(snapshot: Snapshot, bucket: Any, tmp_path: Path) -> None:  # noqa: F811
    assert snapshot.status == Snapshot.Status.FROZEN, snapshot.error
    for item in bucket.objects.all():
        assert item.key.startswith(f"{snapshot.path}/")
        bucket.download_file(item.key, str(tmp_path / Path(item.key).name))
    done = subprocess.run(
        [sys.executable, "-m", "training", "verify", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert snapshot.merkle_root in (tmp_path / "manifest.json").read_text()


def test_what_lies_in_a_bucket_is_downloaded_and_proven(snapshot: Snapshot, lead, client_of):
    client = client_of(lead)
    example = Example.objects.earliest("pk")
    api = f"/api/v1/snapshots/{snapshot.uid}"
    manifest = client.get(f"{api}/files/manifest.json")
    assert json.loads(b"".join(manifest.streaming_content))["merkle_root"] == snapshot.merkle_root
    lines = b"".join(client.get(f"{api}/openai.jsonl?split=train").streaming_content).splitlines()
    assert len(lines) == snapshot.split_counts["train"]
    proof = client.get(f"{api}/proof/{example.uid}/").json()
    assert verify_inclusion(
        bytes.fromhex(proof["leaf_sha256"]), proof["leaf_index"], proof["tree_size"],
        [bytes.fromhex(node) for node in proof["proof"]], bytes.fromhex(snapshot.merkle_root),
    )
