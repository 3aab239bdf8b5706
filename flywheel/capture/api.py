"""REST endpoints: deliveries one by one and in bulk, sources, and examples as everyone sees them, redacted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.parsers import BaseParser, JSONParser
from rest_framework.response import Response
from rest_framework.views import APIView

from flywheel.capture import access, services
from flywheel.capture.connectors import CONNECTORS, ReceiveConnector
from flywheel.capture.connectors.webhook import Webhook
from flywheel.capture.domain.payloads import BadPayload, Row, parse_json
from flywheel.capture.models import Example, Source
from flywheel.capture.request_stream import body_whole
from flywheel.capture.services.sources import FIELDS
from flywheel.capture.tables import EXAMPLES
from flywheel.core.api import KeysetPagination, error_body
from flywheel.core.errors import Conflict, UserError, ValidationFailed
from flywheel.core.http import AuthenticatedApiRequest
from flywheel.core.models import User
from flywheel.core.permissions import require

BAD_SHOWN = 1000
SOURCE = OpenApiParameter("source", str, description="Name of the source; a payload may name it as `source` instead.")


class RawParser(BaseParser):
    """Accepts every content type and does not read the body: the view reads it as it arrives."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: Any = None, parser_context: Any = None) -> Any:
        return {}


class CaptureView(APIView):
    """`POST /api/v1/captures/`: one ticket or call."""

    permission = "capture.deliver"
    parser_classes = [RawParser]

    @extend_schema(parameters=[SOURCE], request=OpenApiTypes.OBJECT, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: AuthenticatedApiRequest) -> Response:
        """Take one delivery: 201 when it is new, 200 when it is stored already."""
        body = body_whole(_plain(request), limit=settings.FLYWHEEL["BULK_MAX_LINE_BYTES"])
        try:
            payload = parse_json(body)
        except BadPayload as bad:
            raise ValidationFailed(bad.reason, field=bad.field) from None
        # The address wins over the payload here; the service refuses a payload that names another source.
        named = request.query_params.get("source") or payload.get("source")
        if not isinstance(named, str):
            raise ValidationFailed('no source is named; add ?source=NAME or "source" to the payload', field="source")
        result = services.capture_one(
            source=access.source_for_capture(named), payload=payload, by=request.user,
        )
        return Response(
            {"capture": result.capture_id, "status": result.status, "example": result.example},
            status=status.HTTP_201_CREATED if result.status == "captured" else status.HTTP_200_OK,
        )


class BulkCaptureView(APIView):
    """`POST /api/v1/captures/bulk/`: one delivery per line (NDJSON), read as it arrives, gzip allowed."""

    permission = "capture.deliver"
    parser_classes = [RawParser]

    @extend_schema(parameters=[SOURCE], request=OpenApiTypes.STR, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: AuthenticatedApiRequest) -> Response:
        """Take many deliveries; a bad line is reported and does not stop the others."""
        named = request.query_params.get("source")
        source = access.source_for_capture(named) if named else None
        return _deliveries_captured(source, Webhook().receive(_plain(request)), by=request.user)


class SourceDeliveriesView(APIView):
    """`POST /api/v1/sources/<name>/deliveries/`: what another system posts, in the form of the source's connector."""

    permission = "capture.deliver"
    parser_classes = [RawParser]

    @extend_schema(request=OpenApiTypes.STR, responses={200: OpenApiTypes.OBJECT})
    def post(self, request: AuthenticatedApiRequest, name: str) -> Response:
        """Take the deliveries in the body; a bad one is reported and does not stop the others."""
        source = access.source_for_capture(name)
        connector = CONNECTORS[source.kind]
        if not isinstance(connector, ReceiveConnector):
            raise Conflict(
                f"source {name!r} has the connector {connector.title!r}, which receives nothing over HTTP; choose "
                "another under its terms", field="kind",
            )
        return _deliveries_captured(source, connector.receive(_plain(request)), by=request.user)


def _deliveries_captured(source: Source | None, rows: Iterable[Row], *, by: User) -> Response:
    counts: Counter[str] = Counter()
    bad: list[dict[str, Any]] = []
    try:
        for outcome in services.capture_bulk(source=source, lines=rows, by=by):
            counts[outcome.status] += 1
            if outcome.status in ("bad", "conflict") and len(bad) < BAD_SHOWN:
                bad.append({"line": outcome.line, "reason": outcome.reason, "field": outcome.field})
    except UserError as error:
        # The body broke off. Chunks before it are committed, so the error says how many lines need not be sent again.
        read = counts.total()
        kept = f"; {read} lines before it were read and what was good in them is kept" if read else ""
        body = error_body(code=error.code, message=error.message + kept, field=error.field)
        return Response(body | _summary(counts, bad), status=error.status)
    if not counts:
        raise ValidationFailed("the body is empty; send one JSON object per line")
    return Response(_summary(counts, bad))


def _summary(counts: Counter[str], bad: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "lines": counts.total(), "captured": counts["captured"], "repeated": counts["repeated"], "bad": bad,
        "bad_count": counts["bad"] + counts["conflict"],
    }


def _plain(request: AuthenticatedApiRequest) -> HttpRequest:
    return request._request


class SourceSerializer(serializers.ModelSerializer[Source]):
    """A source. The service checks what is changed."""

    owner = serializers.CharField(source="owner.username", read_only=True)

    class Meta:
        model = Source
        fields = ("name", "owner", *FIELDS, "created_at")
        read_only_fields = fields


class SourceListView(APIView):
    """`GET, POST /api/v1/sources/`."""

    permission = "source.view"
    parser_classes = [JSONParser]

    @extend_schema(responses=SourceSerializer(many=True))
    def get(self, request: AuthenticatedApiRequest) -> Response:
        """All sources, by cursor."""
        pages = KeysetPagination()
        rows = pages.paginate_queryset(Source.objects.select_related("owner"), request, view=self)
        return pages.get_paginated_response(SourceSerializer(rows, many=True).data)

    @extend_schema(request=OpenApiTypes.OBJECT, responses={201: SourceSerializer})
    def post(self, request: AuthenticatedApiRequest) -> Response:
        """Create a source, owned by the caller."""
        require("source.create", request.user)
        terms = request.data
        if not isinstance(terms, dict):
            raise ValidationFailed("expected a JSON object with the source's name and terms")
        name = terms.get("name")
        if not isinstance(name, str):
            raise ValidationFailed("name is missing; lower-case letters, digits and hyphens", field="name")
        rest = {key: value for key, value in terms.items() if key != "name"}
        source = services.source_create(name=name, owner=request.user, by=request.user, **rest)
        return Response(SourceSerializer(source).data, status=status.HTTP_201_CREATED)


class SourceView(APIView):
    """`GET, PATCH /api/v1/sources/<name>/`."""

    permission = "source.view"
    parser_classes = [JSONParser]

    @extend_schema(responses=SourceSerializer)
    def get(self, request: AuthenticatedApiRequest, name: str) -> Response:
        """One source."""
        return Response(SourceSerializer(access.source_get(name)).data)

    @extend_schema(request=OpenApiTypes.OBJECT, responses=SourceSerializer)
    def patch(self, request: AuthenticatedApiRequest, name: str) -> Response:
        """Change a source's terms."""
        require("source.change", request.user)
        if not isinstance(request.data, dict):
            raise ValidationFailed("expected a JSON object with the terms to change")
        source = services.source_change(source=access.source_get(name), by=request.user, **request.data)
        return Response(SourceSerializer(source).data)


class ExampleSerializer(serializers.ModelSerializer[Example]):
    """An example in its redacted form."""

    source = serializers.CharField(source="source.name")  # type: ignore[assignment]
    conversation = serializers.JSONField(source="redacted")
    subject_line = serializers.CharField(source="redacted_subject_line")
    duplicate_of = serializers.UUIDField(source="duplicate_of.uid", default=None)

    class Meta:
        model = Example
        fields = (
            "uid", "source", "external_id", "kind", "subject_line", "conversation", "context_length", "label", "tags",
            "language", "status", "group_key", "duplicate_of", "occurred_at", "created_at", "changed_at",
        )
        read_only_fields = fields


class ExampleListView(APIView):
    """`GET /api/v1/examples/`, filtered by source, label, status, kind, language, duplicates and group."""

    permission = "example.view"

    @extend_schema(responses=ExampleSerializer(many=True))
    def get(self, request: AuthenticatedApiRequest) -> Response:
        """Examples, by cursor, the newest first."""
        pages = KeysetPagination()
        rows = EXAMPLES.narrow(
            request.query_params, Example.objects.select_related("source", "duplicate_of")
        )
        found = pages.paginate_queryset(rows, request, view=self)
        return pages.get_paginated_response(ExampleSerializer(found, many=True).data)


class ExampleView(APIView):
    """`GET /api/v1/examples/<uid>/`."""

    permission = "example.view"

    @extend_schema(
        responses=ExampleSerializer,
        parameters=[OpenApiParameter("original", bool, description="With the unredacted text, for stewards.")],
    )
    def get(self, request: AuthenticatedApiRequest, uid: UUID) -> Response:
        """One example with its redactions; a steward may ask for the original."""
        example = access.example_get(uid)
        found = dict(ExampleSerializer(example).data)
        found["redactions"] = [{k: v for k, v in span.items() if k != "text"} for span in example.pii]
        if request.query_params.get("original") in ("1", "true"):
            require("example.original", request.user)
            services.example_original_seen(example=example, by=request.user)
            found["original"] = {"subject_line": example.subject_line, "conversation": example.conversation}
        return Response(found)
