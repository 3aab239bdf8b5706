"""REST endpoints, below /api/v1/: people's, and the trainers' under worker/."""

from __future__ import annotations

from django.urls import URLPattern, path, register_converter
from django.urls.converters import StringConverter

from flywheel.runs import worker_api


class KindConverter(StringConverter):
    """What a trainer can lease."""

    regex = "run|suggestions"


register_converter(KindConverter, "kind")

JOB = "worker/<kind:kind>/<uuid:uid>/"

urlpatterns: list[URLPattern] = [
    path(f"{JOB}lease", worker_api.lease, name="worker_lease"),
    path(f"{JOB}heartbeat", worker_api.heartbeat, name="worker_heartbeat"),
    path(f"{JOB}events", worker_api.events, name="worker_events"),
    path(f"{JOB}snapshot/<path:path>", worker_api.snapshot, name="worker_snapshot"),
    path(f"{JOB}prompts", worker_api.prompts, name="worker_prompts"),
    path(f"{JOB}adapter/<path:path>", worker_api.adapter, name="worker_adapter"),
    path(f"{JOB}artifacts/<path:path>", worker_api.artifact, name="worker_artifact"),
    path(f"{JOB}complete", worker_api.complete, name="worker_complete"),
    path(f"{JOB}fail", worker_api.fail, name="worker_fail"),
]
