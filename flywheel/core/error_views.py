"""Responses to requests without a view and to failures: pages get a page, the API its shape of an error."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.views import defaults

from flywheel.core.api import error_body

API = "/api/"


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """400: the request cannot be read, such as one with too many fields."""
    return _api(request, 400, "invalid", "the request cannot be read") or defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """403."""
    return _api(request, 403, "refused", "you may not do this") or defaults.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    """404: the address does not exist."""
    # A forgotten slash is the usual cause, and the redirect that a page gets would lose the body of a POST.
    message = f"{request.path[:200]} does not exist; addresses of the API end with a slash, /api/v1/schema/ lists them"
    return _api(request, 404, "not_found", message) or defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    """500: a fault of Flywheel, which is in the log."""
    message = "Flywheel failed and logged why; repeat the request later"
    return _api(request, 500, "error", message) or defaults.server_error(request)


def _api(request: HttpRequest, status: int, code: str, message: str) -> Any:
    if not request.path.startswith(API):
        return None
    return JsonResponse(error_body(code=code, message=message), status=status)
