"""App configuration of curation."""

from django.apps import AppConfig


class CurationConfig(AppConfig):
    name = "flywheel.curation"
    label = "curation"
    default_auto_field = "django.db.models.BigAutoField"
