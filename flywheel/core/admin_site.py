"""Django's admin: for superusers only, signed in through the same rate-limited page as all other users."""

from __future__ import annotations

from typing import Any

from allauth.account.decorators import secure_admin_login
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse


class SuperuserAdminSite(AdminSite):
    """An admin that being staff does not open."""

    site_header = site_title = "Flywheel"

    def has_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        # allauth's page would send a signed-in person straight back here, in an endless loop of redirects.
        if request.user.is_authenticated and not self.has_permission(request):
            raise PermissionDenied("Django's admin is for superusers")
        # Django's own sign-in page has no rate limit; this decorator leads to the one that has.
        response: HttpResponse = secure_admin_login(super().login)(request, extra_context)
        return response
