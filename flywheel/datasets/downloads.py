"""Frozen files and exports as HTTP responses, shared by pages and API."""

from __future__ import annotations

from django.http import FileResponse, HttpResponseBase, StreamingHttpResponse

from flywheel.datasets import services
from flywheel.datasets.exports import export_format
from flywheel.datasets.models import Snapshot

TYPES = {"json": "application/json", "md": "text/markdown; charset=utf-8", "parquet": "application/vnd.apache.parquet"}


def file_response(snapshot: Snapshot, name: str) -> HttpResponseBase:
    """A file streamed as a download, with its length."""
    file, size = services.snapshot_file_open(snapshot=snapshot, name=name)
    kind = TYPES.get(name.rpartition(".")[2], "application/octet-stream")
    response = FileResponse(file, as_attachment=True, filename=name, content_type=kind)
    response["Content-Length"] = str(size)
    return response


def export_response(snapshot: Snapshot, export: str, split: str) -> HttpResponseBase:
    """A split in the export format of this name, streamed as a download. Raises NotFound and Conflict."""
    form = export_format(export)
    response = StreamingHttpResponse(
        services.export_stream(snapshot=snapshot, export=form, split=split), content_type=form.content_type
    )
    response["Content-Disposition"] = f'attachment; filename="{split}.{form.suffix}"'
    return response
