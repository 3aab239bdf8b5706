"""App configuration of audit."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "flywheel.audit"
    label = "audit"
    default_auto_field = "django.db.models.BigAutoField"
