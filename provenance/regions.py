"""Which regions this installation keeps verdicts for."""

from __future__ import annotations

from django.conf import settings


def regions() -> list[str]:
    """The regions for which every record's verdict is kept up to date, the installation's own first."""
    own: str = settings.FLYWHEEL["REGION"]
    return [own, *(r for r in settings.FLYWHEEL.get("REGIONS", []) if r != own)]
