"""Settings of provenance."""

from __future__ import annotations

from django.conf import settings


def judged_regions() -> list[str]:
    """The regions for which every record's verdict is kept up to date. The installation's own region comes first."""
    own: str = settings.FLYWHEEL["REGION"]
    return [own, *(r for r in settings.FLYWHEEL.get("REGIONS", []) if r != own)]
