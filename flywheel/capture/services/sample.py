"""The sources of the shipped sample. Its conversations are captured as any others."""

from __future__ import annotations

import json
from pathlib import Path

from flywheel.capture.models import Source
from flywheel.capture.services.sources import source_create
from flywheel.core.models import User

SAMPLE = Path(__file__).resolve().parents[1] / "sample"


def sample_sources_ensure(*, owner: User, by: User) -> list[str]:
    """Create the sample's sources where they are missing. Returns their names."""
    rows = json.loads((SAMPLE / "sources.json").read_text(encoding="utf-8"))
    words = json.loads((SAMPLE / "terms.json").read_text(encoding="utf-8"))
    held = set(Source.objects.filter(name__in=[row["name"] for row in rows]).values_list("name", flat=True))
    for row in rows:
        if row["name"] not in held:
            terms = {key: value for key, value in row.items() if key not in ("name", "license")}
            source_create(
                name=row["name"], owner=owner, by=by, license_spdx=row["license"], product_names=words, **terms
            )
    return [row["name"] for row in rows]
