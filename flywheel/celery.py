"""The Celery application of web and worker: finds every app's jobs and holds the beat schedule.

The trainer has an application of its own, in training/worker.py, since it must start without Django.
"""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flywheel.settings.dev")

app = Celery("flywheel")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(related_name="jobs")

app.conf.beat_schedule = {
    "outbox-sweep": {"task": "core.sweep", "schedule": 5.0},
    "home-gauges": {"task": "home.refresh_gauges", "schedule": 60.0},
}
