"""REST endpoints, below /api/v1/."""

from django.urls import path

from annotation import api

urlpatterns = [
    path("projects/", api.Projects.as_view(), name="api_projects"),
    path("projects/<slug:slug>/", api.ProjectDetail.as_view(), name="api_project"),
    path("projects/<slug:slug>/next/", api.Next.as_view(), name="api_next"),
    path("projects/<slug:slug>/undo/", api.Undo.as_view(), name="api_undo"),
    path("projects/<slug:slug>/tasks/", api.Tasks.as_view(), name="api_tasks"),
    path("projects/<slug:slug>/flags/", api.Flags.as_view(), name="api_flags"),
    path("tasks/<int:pk>/flag/", api.FlagTask.as_view(), name="api_flag"),
    path("tasks/<int:pk>/reopen/", api.ReopenTask.as_view(), name="api_reopen"),
    path("flags/<int:pk>/resolve/", api.ResolveFlag.as_view(), name="api_flag_resolve"),
    path("assignments/<int:pk>/draft/", api.Draft.as_view(), name="api_draft"),
    path("assignments/<int:pk>/submit/", api.Submit.as_view(), name="api_submit"),
    path("assignments/<int:pk>/skip/", api.Skip.as_view(), name="api_skip"),
    path("assignments/<int:pk>/renew/", api.Renew.as_view(), name="api_renew"),
    path("assignments/<int:pk>/release/", api.Release.as_view(), name="api_release"),
    path("annotations/<int:pk>/spans/", api.KeepSpan.as_view(), name="api_span"),
    path("annotations/<int:pk>/review/", api.ReviewAnnotation.as_view(), name="api_review"),
]
