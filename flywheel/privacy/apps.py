"""App configuration of privacy."""

from django.apps import AppConfig


class PrivacyConfig(AppConfig):
    name = "flywheel.privacy"
    label = "privacy"
    default_auto_field = "django.db.models.BigAutoField"
