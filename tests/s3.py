"""A bucket without a server: moto answers what the SDK asks. The settings are the production ones, made by their own
function from the environment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import environ
import pytest

ENDPOINT = "http://files.example:9000"
BUCKET = "flywheel-files"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, settings: Any, _own_files: None) -> Iterator[Any]:
    """An empty bucket of an S3-compatible store which the settings name; yields boto3's bucket."""
    monkeypatch.setenv("MOTO_S3_CUSTOM_ENDPOINTS", ENDPOINT)
    import boto3
    from moto import mock_aws

    from flywheel.settings.storage import file_storage

    keys = {"FLYWHEEL_S3_ACCESS_KEY": "access", "FLYWHEEL_S3_SECRET_KEY": "secret"}
    for name, value in {"FLYWHEEL_S3_BUCKET": BUCKET, "FLYWHEEL_S3_ENDPOINT": ENDPOINT, **keys}.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        store = boto3.resource(
            "s3", endpoint_url=ENDPOINT, aws_access_key_id="access", aws_secret_access_key="secret",
            region_name="us-east-1",
        )
        made = store.create_bucket(Bucket=BUCKET)
        settings.STORAGES = settings.STORAGES | {"default": file_storage(environ.Env(), Path("/nowhere"))}
        yield made
