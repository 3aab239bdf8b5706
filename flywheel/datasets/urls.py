"""Pages."""

from django.urls import path

from flywheel.datasets import views

app_name = "datasets"

urlpatterns = [
    path("snapshots/", views.index, name="snapshots"),
    path("snapshots/new/", views.create, name="snapshot_new"),
    path("snapshots/<uuid:uid>/", views.detail, name="snapshot"),
    path("snapshots/<uuid:uid>/rows/", views.rows, name="snapshot_rows"),
    path("snapshots/<uuid:uid>/refusals/", views.refusals, name="snapshot_refusals"),
    path("snapshots/<uuid:uid>/files/<str:name>", views.download, name="snapshot_file"),
    path("snapshots/<uuid:uid>/exports/<slug:export>/<slug:split>", views.export, name="snapshot_export"),
    # The former address of this export, kept for links in bookmarks and documents.
    path(
        "snapshots/<uuid:uid>/openai/<slug:split>.jsonl", views.export, {"export": "openai"}, name="snapshot_openai"
    ),
]
