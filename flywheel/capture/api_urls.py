"""REST endpoints, below /api/v1/."""

from django.urls import path

from flywheel.capture import api

urlpatterns = [
    path("captures/", api.CaptureView.as_view(), name="api_capture"),
    path("captures/bulk/", api.BulkCaptureView.as_view(), name="api_capture_bulk"),
    path("sources/", api.SourceListView.as_view(), name="api_sources"),
    path("sources/<str:name>/", api.SourceView.as_view(), name="api_source"),
    path("sources/<str:name>/deliveries/", api.SourceDeliveriesView.as_view(), name="api_source_deliveries"),
    path("examples/", api.ExampleListView.as_view(), name="api_examples"),
    path("examples/<uuid:uid>/", api.ExampleView.as_view(), name="api_example"),
]
