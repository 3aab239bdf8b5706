"""The Celery application of web and worker: finds every app's jobs and holds the beat schedule.

The trainer has its own application, in training/worker/main.py, because it must start without Django.
"""

from __future__ import annotations

import os

from celery import Celery

from flywheel.work.broker import broker_use

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flywheel.settings.dev")

broker_use()
app = Celery("flywheel")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(related_name="tasks")

app.conf.beat_schedule = {
    "annotation-make-tasks": {"task": "annotation.make_tasks", "schedule": 5.0},
    "annotation-sweep-leases": {"task": "annotation.sweep_leases", "schedule": 15.0},
    "annotation-sweep-search": {"task": "annotation.sweep_search", "schedule": 60.0, "options": {"expires": 55}},
    "annotation-reconcile-tasks": {"task": "annotation.reconcile_tasks", "schedule": 600.0},
    "capture-pull": {"task": "capture.pull", "schedule": 60.0, "options": {"expires": 55}},
    "capture-sweep": {"task": "capture.sweep", "schedule": 15.0},
    "provenance-expire": {"task": "provenance.expire", "schedule": 60.0, "options": {"expires": 55}},
    "audit-checkpoint": {"task": "audit.checkpoint", "schedule": 3600.0, "options": {"expires": 3500}},
    "runs-sweep": {"task": "runs.sweep", "schedule": 5.0},
    "runs-budget": {"task": "runs.budget", "schedule": 300.0, "options": {"expires": 290}},
    "runs-suggest": {"task": "runs.suggest", "schedule": 60.0},
    "work-sweep": {"task": "work.sweep", "schedule": 5.0},
    # One that waited for so long is dropped: the next one says the same, later.
    "stats-refresh": {"task": "stats.refresh", "schedule": 10.0, "options": {"expires": 60}},
}
