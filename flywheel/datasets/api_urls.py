"""REST endpoints, below /api/v1/."""

from django.urls import path

from flywheel.datasets import api

ONE = "snapshots/<uuid:uid>/"

urlpatterns = [
    path("snapshots/", api.Snapshots.as_view(), name="api_snapshots"),
    path(ONE, api.SnapshotDetail.as_view(), name="api_snapshot"),
    path(f"{ONE}files/<str:name>", api.SnapshotFile.as_view(), name="api_snapshot_file"),
    path(f"{ONE}exports/<slug:export>/<slug:split>", api.SnapshotExport.as_view(), name="api_snapshot_export"),
    path(f"{ONE}openai.jsonl", api.SnapshotExportByQuery.as_view(), {"export": "openai"}, name="api_snapshot_openai"),
    path(f"{ONE}plain.txt", api.SnapshotExportByQuery.as_view(), {"export": "text"}, name="api_snapshot_text"),
    path(f"{ONE}proof/<uuid:example_uid>/", api.SnapshotProof.as_view(), name="api_snapshot_proof"),
]
