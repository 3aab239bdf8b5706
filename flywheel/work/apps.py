"""App configuration of work."""

from django.apps import AppConfig


class WorkConfig(AppConfig):
    name = "flywheel.work"
    label = "work"
    default_auto_field = "django.db.models.BigAutoField"
