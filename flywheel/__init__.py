"""The Django project: capture, curation, runs, and the composition root that joins every app."""

from flywheel.celery import app as celery_app

__all__ = ["celery_app"]
