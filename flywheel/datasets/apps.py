"""App configuration of datasets."""

from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    name = "flywheel.datasets"
    label = "datasets"
    default_auto_field = "django.db.models.BigAutoField"
