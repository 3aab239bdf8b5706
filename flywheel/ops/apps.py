"""App configuration of ops."""

from django.apps import AppConfig


class OpsConfig(AppConfig):
    name = "flywheel.ops"
    label = "ops"
    default_auto_field = "django.db.models.BigAutoField"
