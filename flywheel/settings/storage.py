"""Where files lie: a folder, or a bucket of any S3-compatible store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import environ

SPOOL_BYTES = 8 * 1024 * 1024
"""A file that is read from a bucket is held in memory up to this size, above it in the temporary folder."""


def file_storage(env: environ.Env, folder: Path) -> dict[str, Any]:
    """Django's storage settings: the bucket that the environment names, else `folder`."""
    bucket = env.str("FLYWHEEL_S3_BUCKET", default="")
    if not bucket:
        return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(folder)}}
    # Only an installation that has a bucket pays for importing the SDK.
    from botocore.config import Config

    endpoint = env.str("FLYWHEEL_S3_ENDPOINT", default="") or None
    # Stores other than Amazon's refuse the checksums that the SDK adds by default since 2025.
    checksums = "when_required" if endpoint else "when_supported"
    return {
        "BACKEND": "storages.backends.s3.S3Storage",
        "OPTIONS": {
            "bucket_name": bucket,
            "endpoint_url": endpoint,
            "region_name": env.str("FLYWHEEL_S3_REGION", default="") or None,
            "access_key": env.str("FLYWHEEL_S3_ACCESS_KEY", default="") or None,
            "secret_key": env.str("FLYWHEEL_S3_SECRET_KEY", default="") or None,
            # No ACL is sent: objects are private without one, and buckets without ACLs refuse any.
            "default_acl": None,
            "file_overwrite": False,
            "max_memory_size": SPOOL_BYTES,
            "client_config": Config(
                s3={"addressing_style": env.str("FLYWHEEL_S3_ADDRESSING", default="auto")},
                request_checksum_calculation=checksums,
                response_checksum_validation=checksums,
            ),
        },
    }
