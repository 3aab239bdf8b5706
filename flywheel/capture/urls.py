"""Pages."""

from django.urls import path

from flywheel.capture import views

app_name = "capture"

urlpatterns = [
    path("sources/", views.source_list, name="sources"),
    path("sources/new/", views.source_new, name="source_new"),
    path("sources/dead/<int:pk>/replay/", views.capture_replay, name="capture_replay"),
    path("sources/<slug:name>/", views.source_detail, name="source"),
    path("sources/<slug:name>/edit/", views.source_edit, name="source_edit"),
    path("deliveries/", views.delivery_list, name="deliveries"),
    path("deliveries/replay/", views.deliveries_replay, name="deliveries_replay"),
    path("examples/", views.example_list, name="examples"),
]
