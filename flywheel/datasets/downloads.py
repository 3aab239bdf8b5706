"""Frozen files as HTTP answers, for the pages and the REST endpoints alike. What is handed out the services decide."""

from __future__ import annotations

from collections.abc import Iterator

from django.http import FileResponse, HttpResponseBase, StreamingHttpResponse

from flywheel.datasets import services
from flywheel.datasets.models import Snapshot

TYPES = {"json": "application/json", "md": "text/markdown; charset=utf-8", "parquet": "application/vnd.apache.parquet"}


def file_response(snapshot: Snapshot, name: str) -> HttpResponseBase:
    """A file streamed as a download, with its length."""
    file, size = services.snapshot_file_open(snapshot=snapshot, name=name)
    kind = TYPES.get(name.rpartition(".")[2], "application/octet-stream")
    response = FileResponse(file, as_attachment=True, filename=name, content_type=kind)
    response["Content-Length"] = str(size)
    return response


def chat_response(snapshot: Snapshot, split: str) -> HttpResponseBase:
    """A split as OpenAI chat JSONL, streamed as a download."""
    lines = services.openai_stream(snapshot=snapshot, split=split)
    return _download(lines, f"{split}.openai.jsonl", "application/jsonl")


def text_response(snapshot: Snapshot, split: str) -> HttpResponseBase:
    """A split as plain text, streamed as a download."""
    text = services.plain_text_stream(snapshot=snapshot, split=split)
    return _download(text, f"{split}.txt", "text/plain; charset=utf-8")


def _download(body: Iterator[bytes], name: str, kind: str) -> HttpResponseBase:
    response = StreamingHttpResponse(body, content_type=kind)
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
