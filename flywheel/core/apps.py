"""App configuration of the tables and rules that every app shares."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class CoreConfig(AppConfig):
    name = "flywheel.core"
    label = "core"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Assemble the table of permissions."""
        # Pages look their permission up when they are imported, and a worker imports no page: so every app's rules
        # must be in the table before either starts.
        autodiscover_modules("access")
