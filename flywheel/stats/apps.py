"""App configuration of stats."""

from django.apps import AppConfig


class StatsConfig(AppConfig):
    name = "flywheel.stats"
    label = "stats"
    default_auto_field = "django.db.models.BigAutoField"
