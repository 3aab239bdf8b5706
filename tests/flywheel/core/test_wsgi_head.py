"""HEAD is answered as GET is, without a body: over gunicorn the same connection then serves the next request."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from flywheel.core.wsgi_head import HeadOnly


class Content(list[bytes]):
    closed = False

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(("method", "sent", "closed"), [("HEAD", b"", True), ("GET", b"page", False), ("POST", b"page", False)])
def test_only_the_body_of_an_answer_to_head_is_left_out(method: str, sent: bytes, closed: bool) -> None:
    content, started = Content([b"page"]), []

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "4")])
        return content

    answer = HeadOnly(application)({"REQUEST_METHOD": method}, lambda *args: started.append(args))
    assert b"".join(answer) == sent
    assert started == [("200 OK", [("Content-Length", "4")])]
    assert content.closed is closed
