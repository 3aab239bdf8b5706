"""REST endpoints, below /api/v1/: people's, and the trainers' under worker/."""

from __future__ import annotations

from django.urls import URLPattern, path, register_converter
from django.urls.converters import StringConverter

from flywheel.runs import api, worker_api


class KindConverter(StringConverter):
    """The kinds of jobs that a trainer can lease."""

    regex = "run|suggestions"


register_converter(KindConverter, "kind")

JOB = "worker/<kind:kind>/<uuid:uid>/"

urlpatterns: list[URLPattern] = [
    path("runs/", api.Runs.as_view(), name="api_runs"),
    path("runs/estimate/", api.RunEstimate.as_view(), name="api_run_estimate"),
    path("runs/<uuid:uid>/", api.Run.as_view(), name="api_run"),
    path("runs/<uuid:uid>/approve/", api.RunApprove.as_view(), name="api_run_approve"),
    path("runs/<uuid:uid>/cancel/", api.RunCancel.as_view(), name="api_run_cancel"),
    path("runs/<uuid:uid>/events/", api.RunEvents.as_view(), name="api_run_events"),
    path("models/", api.Models.as_view(), name="api_models"),
    path("models/<str:name>/", api.Model.as_view(), name="api_model"),
    path("models/<str:name>/promote/", api.ModelPromote.as_view(), name="api_model_promote"),
    path("models/<str:name>/decide/", api.ModelDecide.as_view(), name="api_model_decide"),
    path("models/<str:name>/suggestions/", api.ModelPublish.as_view(), name="api_model_publish"),
    path(f"{JOB}lease", worker_api.Lease.as_view(), name="worker_lease"),
    path(f"{JOB}heartbeat", worker_api.Heartbeat.as_view(), name="worker_heartbeat"),
    path(f"{JOB}events", worker_api.Events.as_view(), name="worker_events"),
    path(f"{JOB}snapshot/<path:path>", worker_api.Download.as_view(part="snapshot"), name="worker_snapshot"),
    path(f"{JOB}prompts", worker_api.Download.as_view(part="prompts"), name="worker_prompts"),
    path(f"{JOB}adapter/<path:path>", worker_api.Download.as_view(part="adapter"), name="worker_adapter"),
    path(f"{JOB}artifacts/<path:path>", worker_api.Upload.as_view(), name="worker_artifact"),
    path(f"{JOB}complete", worker_api.Complete.as_view(), name="worker_complete"),
    path(f"{JOB}fail", worker_api.Fail.as_view(), name="worker_fail"),
]
