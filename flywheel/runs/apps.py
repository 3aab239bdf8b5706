"""App configuration of runs."""

from django.apps import AppConfig
from django.core import checks


class RunsConfig(AppConfig):
    name = "flywheel.runs"
    label = "runs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system check of sinks, and what the pages of provenance count and link."""
        from flywheel.runs import selectors, sinks
        from provenance import reach

        reach.reach_register("runs", selectors.reach_count, selectors.REACH_LISTS)
        checks.register(sinks.sinks_check)
