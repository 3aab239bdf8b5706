"""What is sent compressed, and what is sent as it is."""

from __future__ import annotations

import gzip
from io import BytesIO

import pytest
from django.http import FileResponse, HttpResponse, HttpResponseBase
from django.test import Client, RequestFactory

from flywheel.core.compression import TextCompression

TEXT = b"flywheel " * 200


def sent(response: HttpResponseBase, path: str = "/", **headers: str) -> HttpResponseBase:
    request = RequestFactory().get(path, HTTP_ACCEPT_ENCODING="gzip", **headers)
    return TextCompression(lambda _: response)(request)


def test_a_page_is_compressed_for_a_browser_that_asks(client: Client, db: None) -> None:
    page = client.get("/accounts/login/", HTTP_ACCEPT_ENCODING="gzip, br")
    assert page["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in page["Vary"]
    assert b"<!DOCTYPE html>" in gzip.decompress(page.content)
    assert "Content-Encoding" not in client.get("/accounts/login/")


@pytest.mark.parametrize("path", ["/static/css/base.css", "/static/js/ui.js"])
def test_styles_and_scripts_are_compressed(client: Client, path: str) -> None:
    plain = client.get(path).getvalue()
    packed = client.get(path, HTTP_ACCEPT_ENCODING="gzip")
    assert packed["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.getvalue()) == plain


def test_a_download_keeps_its_length() -> None:
    response = sent(FileResponse(BytesIO(TEXT), filename="rows.json", content_type="application/json"))
    assert "Content-Encoding" not in response
    assert response["Content-Length"] == str(len(TEXT))


def test_other_types_are_sent_as_they_are() -> None:
    assert "Content-Encoding" not in sent(HttpResponse(TEXT, content_type="application/zip"))
    assert sent(HttpResponse(TEXT, content_type="application/json; charset=utf-8"))["Content-Encoding"] == "gzip"


def test_two_answers_with_the_same_page_differ_in_length() -> None:
    """The random padding hides the true length from an onlooker (BREACH)."""
    lengths = {len(sent(HttpResponse(TEXT)).content) for _ in range(20)}
    assert len(lengths) > 1
