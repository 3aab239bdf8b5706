"""The Django project: capture, datasets, runs, and the composition root that joins every app."""

from flywheel.celery import app as celery_app

__all__ = ["celery_app"]
