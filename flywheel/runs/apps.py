"""App configuration of runs."""

from django.apps import AppConfig
from django.core import checks


class RunsConfig(AppConfig):
    name = "flywheel.runs"
    label = "runs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system check of sinks."""
        # Imported here, because models are not loaded yet when Django imports this module.
        from flywheel.runs import sinks

        checks.register(sinks.sinks_check)
