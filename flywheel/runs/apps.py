"""App configuration of runs."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "flywheel.runs"
    label = "runs"
    default_auto_field = "django.db.models.BigAutoField"
