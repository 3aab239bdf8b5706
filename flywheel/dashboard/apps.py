"""App configuration of dashboard."""

from django.apps import AppConfig


class DashboardConfig(AppConfig):
    name = "flywheel.dashboard"
    label = "dashboard"
    default_auto_field = "django.db.models.BigAutoField"
