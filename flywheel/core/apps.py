"""App configuration of the house's own tables."""

from django.apps import AppConfig


class CoreConfig(AppConfig):
    name = "flywheel.core"
    label = "core"
    default_auto_field = "django.db.models.BigAutoField"
