"""User-facing errors. Each message names the object, the bad value and how to fix it.

Services raise them; pages and the API turn them into responses (`core.middleware`, `core.api`).
"""

from __future__ import annotations


class UserError(Exception):
    """Base of the errors that the caller can fix.

    status: the HTTP status of the response. code: a stable word for programs. field: the input at fault, if one is.
    """

    status = 400
    code = "error"

    def __init__(self, message: str, *, field: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        if code:
            self.code = code


class ValidationFailed(UserError):
    """The input is malformed or out of range."""

    status = 400
    code = "invalid"


class Forbidden(UserError):
    """The person may not do this."""

    status = 403
    code = "refused"


class NotFound(UserError):
    """The object does not exist, or the person may not see it."""

    status = 404
    code = "not_found"


class Conflict(UserError):
    """The state of the object does not allow this."""

    status = 422
    code = "conflict"


class TooLarge(UserError):
    """The input is larger than the limit."""

    status = 413
    code = "too_large"
