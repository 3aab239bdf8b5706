"""App configuration of home."""

from django.apps import AppConfig


class HomeConfig(AppConfig):
    name = "flywheel.home"
    label = "home"
    default_auto_field = "django.db.models.BigAutoField"
