"""Refuses addresses with NUL characters, and renders a UserError that a page raised."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import render

from flywheel.core.api import error_body
from flywheel.core.errors import UserError, ValidationFailed


class UserErrorMiddleware:
    """Renders the errors of pages; REST framework's exception handler renders those of the API."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # PostgreSQL raises an error for text with NUL in any comparison, and no valid name or search has one.
        if "\x00" in request.path or "%00" in request.META.get("QUERY_STRING", ""):
            error = ValidationFailed("the address has a NUL character; remove it")
            if request.path.startswith("/api/"):
                return JsonResponse(error_body(code=error.code, message=error.message), status=error.status)
            return render(request, "error.html", {"error": error}, status=error.status)
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, UserError):
            return None
        return render(request, "error.html", {"error": exception}, status=exception.status)
