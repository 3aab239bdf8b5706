"""The REST API's manners: errors in one shape, keyset paging. Endpoints belong to the apps."""

from __future__ import annotations

from typing import Any

from rest_framework import exceptions, pagination, views
from rest_framework.response import Response

from flywheel.core.errors import UserError
from flywheel.core.text import plain_text


class KeysetPagination(pagination.CursorPagination):
    """Cursor paging by primary key, newest first."""

    # The key alone: it is unique, so a cursor never skips or repeats a row, and it has an index in every table.
    ordering = "-pk"
    page_size = 50
    page_size_query_param = "limit"
    max_page_size = 500


def error_body(*, code: str, message: str, field: str = "") -> dict[str, Any]:
    """The one shape of an error."""
    # A message may repeat what was sent, and not every text can be sent back.
    error = {"code": code, "message": plain_text(message)}
    return {"error": error | ({"field": field} if field else {})}


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Turn UserError and REST framework errors into the one shape."""
    if isinstance(exc, UserError):
        return Response(error_body(code=exc.code, message=exc.message, field=exc.field), status=exc.status)
    response = views.exception_handler(exc, context)
    if response is None or not isinstance(exc, exceptions.APIException):
        return response
    field, message = _first(exc.detail)
    response.data = error_body(code=str(exc.default_code), message=message, field=field)
    return response


def _first(detail: Any, field: str = "") -> tuple[str, str]:
    if isinstance(detail, dict) and detail:
        name, inner = next(iter(detail.items()))
        return _first(inner, f"{field}.{name}" if field else str(name))
    # Only the first problem, because the shape has one message; the next one is often a consequence of it.
    if isinstance(detail, list) and detail:
        return _first(detail[0], field)
    return field, str(detail)
