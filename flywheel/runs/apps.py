"""App configuration of runs."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "flywheel.runs"
    label = "runs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Tell the pages of provenance, which knows nothing of what stands above it, what to count and link."""
        from flywheel.runs import selectors
        from provenance import reach

        reach.reach_register("runs", selectors.reach_count, selectors.REACH_LISTS)
