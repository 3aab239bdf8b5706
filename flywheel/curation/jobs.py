"""Work of curation that follows a commit. The work itself is in services."""

from __future__ import annotations

from typing import Any

from flywheel.core.outbox import outbox_handler
from flywheel.curation import services


@outbox_handler("snapshot.build")
def build(payload: dict[str, Any]) -> None:
    """Build and freeze one snapshot."""
    services.snapshot_build(snapshot_id=payload["snapshot_id"])
