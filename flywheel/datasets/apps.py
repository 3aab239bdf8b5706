"""App configuration of datasets."""

from django.apps import AppConfig


class DatasetsConfig(AppConfig):
    name = "flywheel.datasets"
    label = "datasets"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Tell the pages of provenance, which knows nothing of what stands above it, what to count and link."""
        from flywheel.datasets import selectors
        from provenance import reach

        reach.reach_register("datasets", selectors.reach_count, selectors.REACH_LISTS)
        reach.example_link_register(selectors.example_link)
        for name, (rows, shown) in selectors.REACH_ROWS.items():
            reach.rows_register(name, rows, shown)
        for name, (title, records) in selectors.STAGES.items():
            reach.stage_register(name, title, records)
