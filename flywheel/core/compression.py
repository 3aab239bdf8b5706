"""Compresses what browsers read: pages, JSON, styles and scripts. Downloads are sent as they are."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

COMPRESSED_TYPES = frozenset({
    "text/html", "text/css", "text/javascript", "application/javascript", "application/json", "image/svg+xml",
})


class TextCompression(GZipMiddleware):
    """gzip for responses whose type is in COMPRESSED_TYPES.

    A compressed length can leak a secret when a page repeats text that an attacker chose and the attacker can watch
    the lengths of many responses (BREACH). Three things prevent this here: session cookies are SameSite=Lax, so another
    site cannot request pages in a person's name in the background; Django masks its CSRF token anew in each response;
    and GZipMiddleware adds up to 100 random bytes to each response.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        kind = response.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind not in COMPRESSED_TYPES:
            return response
        # Streams are downloads: clients resume them by Content-Length and Range, which compression would remove.
        # Static files are streams too; production serves copies compressed at build time, which are left alone.
        static = request.path.startswith(settings.STATIC_URL) and not response.has_header("Content-Range")
        if response.streaming and not static:
            return response
        return super().process_response(request, response)
