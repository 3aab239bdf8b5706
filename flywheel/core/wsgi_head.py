"""Answers to HEAD have no body: gunicorn sends what it is given, and a client would take it for the next answer.

Which status and headers an answer has is left to the views, which are asked as for GET.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flywheel.core.wsgi_body import Application, Environ


class HeadOnly:
    """A WSGI application that leaves out the body of what the one inside it answers to HEAD."""

    def __init__(self, application: Application) -> None:
        self.application = application

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        content = self.application(environ, start_response)
        if environ.get("REQUEST_METHOD") != "HEAD":
            return content
        if hasattr(content, "close"):
            # The server closes only what it is given, and closing a response is what frees Django's database
            # connection.
            content.close()
        return []
