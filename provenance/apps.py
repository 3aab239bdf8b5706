"""App configuration of provenance."""

from django.apps import AppConfig


class ProvenanceConfig(AppConfig):
    name = "provenance"
    label = "provenance"
    default_auto_field = "django.db.models.BigAutoField"
