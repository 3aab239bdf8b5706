"""Errors that people may read: each names the thing, the value and the mend.

Services raise them; the API and the pages decide how they look.
"""

from __future__ import annotations


class UserError(Exception):
    """Base of every error that is the caller's to mend. `status` is the HTTP status it becomes."""

    status = 400
    code = "error"

    def __init__(self, message: str, *, field: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        if code:
            self.code = code


class ValidationFailed(UserError):
    """The input is not what was asked for."""

    status = 400
    code = "invalid"


class Forbidden(UserError):
    """The person may not do this."""

    status = 403
    code = "refused"


class NotFound(UserError):
    """There is no such thing, or none that this person may see."""

    status = 404
    code = "not_found"


class Conflict(UserError):
    """The thing is in a state that does not allow this."""

    status = 422
    code = "conflict"


class TooLarge(UserError):
    """The input is larger than the limit."""

    status = 413
    code = "too_large"
