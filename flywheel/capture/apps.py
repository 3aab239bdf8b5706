"""App configuration of capture."""

from django.apps import AppConfig


class CaptureConfig(AppConfig):
    name = "flywheel.capture"
    label = "capture"
    default_auto_field = "django.db.models.BigAutoField"
