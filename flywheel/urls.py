"""The composition root's addresses: each app's pages and REST endpoints, sign-in, admin, health."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path
from drf_spectacular.views import SpectacularAPIView


def healthz(request: HttpRequest) -> HttpResponse:
    """Answers as soon as the process does."""
    return HttpResponse("ok", content_type="text/plain")


api: list[URLPattern | URLResolver] = [
    *(
        path("", include(f"{app}.api_urls"))
        for app in (
            "flywheel.audit", "flywheel.capture", "provenance", "annotation", "flywheel.datasets", "flywheel.runs",
        )
    ),
    path("schema/", SpectacularAPIView.as_view(), name="api_schema"),
]

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("admin/", admin.site.urls),
    path("accounts/", include("allauth.account.urls")),
    path("api/v1/", include(api)),
    path("", include("flywheel.dashboard.urls")),
    path("", include("flywheel.ui.urls")),
    path("", include("flywheel.accounts.urls")),
    path("", include("flywheel.audit.urls")),
    path("", include("flywheel.capture.urls")),
    path("", include("provenance.urls")),
    path("", include("annotation.urls")),
    path("", include("flywheel.datasets.urls")),
    path("", include("flywheel.runs.urls")),
]

handler400 = "flywheel.core.error_views.bad_request"
handler403 = "flywheel.core.error_views.permission_denied"
handler404 = "flywheel.core.error_views.page_not_found"
handler500 = "flywheel.core.error_views.server_error"
