"""REST of snapshots: ask, list, read, download, prove. Thin over the same services as the pages."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.response import Response
from rest_framework.views import APIView

from flywheel.core.api import KeysetPagination
from flywheel.core.http import AuthenticatedApiRequest
from flywheel.datasets import access, services
from flywheel.datasets.downloads import export_response, file_response
from flywheel.datasets.exports import EXPORTS
from flywheel.datasets.models import Snapshot
from provenance.domain.vocabulary import PURPOSES
from training.contract.rows import SPLITS


class SnapshotIn(serializers.Serializer[Any]):
    project = serializers.SlugField()
    name = serializers.CharField(max_length=200)
    purpose = serializers.ChoiceField(choices=PURPOSES)
    region = serializers.CharField(max_length=40)
    seed = serializers.IntegerField(required=False, default=0)
    shares = serializers.DictField(child=serializers.FloatField(), required=False, default=None, allow_null=True)
    system_prompt = serializers.CharField(required=False, allow_blank=True, default="", max_length=8000)
    commercial = serializers.BooleanField(required=False, default=True)


class SnapshotOut(serializers.ModelSerializer[Snapshot]):
    project = serializers.CharField(source="project.slug")

    class Meta:
        model = Snapshot
        fields = ("uid", "name", "project", "purpose", "region", "commercial", "seed", "shares", "status", "error",
                  "merkle_root", "row_count", "split_counts", "refused_counts", "share_alike", "created_at",
                  "frozen_at", "tainted_at", "cleared_until")


class SnapshotDetailOut(SnapshotOut):
    class Meta(SnapshotOut.Meta):
        fields = (*SnapshotOut.Meta.fields, "system_prompt", "manifest")  # type: ignore[assignment]


class ProofOut(serializers.Serializer[Any]):
    example_uid = serializers.UUIDField()
    leaf_index = serializers.IntegerField()
    tree_size = serializers.IntegerField()
    leaf_sha256 = serializers.CharField()
    proof = serializers.ListField(child=serializers.CharField())
    merkle_root = serializers.CharField()
    tainted = serializers.BooleanField()


class Snapshots(ListAPIView[Snapshot]):
    """Snapshots, newest first."""

    permission = "snapshot.view"
    serializer_class = SnapshotOut
    pagination_class = KeysetPagination

    def get_queryset(self) -> QuerySet[Snapshot]:
        """Those that the person may see."""
        return access.snapshots_for(self.request.user)

    @extend_schema(request=SnapshotIn, responses={201: SnapshotDetailOut})
    def post(self, request: AuthenticatedApiRequest) -> Response:
        """Ask for a snapshot; a job builds it. Poll its address until `status` is no longer `building`."""
        body = SnapshotIn(data=request.data)
        body.is_valid(raise_exception=True)
        wanted = dict(body.validated_data)
        project = access.project_of(request.user, wanted.pop("project"))
        snapshot = services.snapshot_request(project=project, by=request.user, **wanted)
        return Response(SnapshotDetailOut(snapshot).data, status=201)


class SnapshotDetail(APIView):
    """One snapshot."""

    permission = "snapshot.view"

    @extend_schema(responses=SnapshotDetailOut)
    def get(self, request: AuthenticatedApiRequest, uid: UUID) -> Response:
        """Status, counts, refusals by rule and the manifest."""
        return Response(SnapshotDetailOut(access.snapshot_of(request.user, uid)).data)


class SnapshotFile(APIView):
    """A file of a frozen snapshot."""

    permission = "snapshot.view"

    @extend_schema(responses=OpenApiTypes.BINARY)
    def get(self, request: AuthenticatedApiRequest, uid: UUID, name: str) -> HttpResponseBase:
        """`train.parquet`, `validation.parquet`, `test.parquet`, `manifest.json`, `README.md`; streamed."""
        return file_response(access.snapshot_of(request.user, uid), name)


class SnapshotExport(APIView):
    """A split in one of the export formats."""

    permission = "snapshot.view"

    @extend_schema(
        responses=OpenApiTypes.BINARY, parameters=[
            OpenApiParameter("export", str, OpenApiParameter.PATH, enum=list(EXPORTS)),
            OpenApiParameter("split", str, OpenApiParameter.PATH, enum=[*SPLITS, services.ALL]),
        ],
    )
    def get(self, request: AuthenticatedApiRequest, uid: UUID, export: str, split: str) -> HttpResponseBase:
        """The split `train`, `validation`, `test` or `all`; streamed."""
        return export_response(access.snapshot_of(request.user, uid), export, split)


class SnapshotExportByQuery(APIView):
    """The former addresses of two export formats, kept because scripts use them."""

    permission = "snapshot.view"

    @extend_schema(
        responses=OpenApiTypes.BINARY, deprecated=True,
        parameters=[OpenApiParameter("split", str, default="train", enum=[*SPLITS, services.ALL])],
    )
    def get(self, request: AuthenticatedApiRequest, uid: UUID, export: str) -> HttpResponseBase:
        """The split in `?split=`, train without one; streamed. Use `exports/<format>/<split>` instead."""
        split = request.query_params.get("split", "train")
        return export_response(access.snapshot_of(request.user, uid), export, split)


class SnapshotProof(APIView):
    """That an example is in a snapshot."""

    permission = "snapshot.view"

    @extend_schema(responses=ProofOut)
    def get(self, request: AuthenticatedApiRequest, uid: UUID, example_uid: UUID) -> Response:
        """An inclusion proof (RFC 9162, 2.1.3) of one example's row."""
        proof = services.proof_of(snapshot=access.snapshot_of(request.user, uid), example_uid=example_uid)
        return Response(ProofOut(asdict(proof)).data)
