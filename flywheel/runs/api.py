"""The REST API of runs and models for people and their scripts; trainers have another (worker_api)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import ListAPIView, RetrieveAPIView
from rest_framework.response import Response
from rest_framework.views import APIView

from flywheel.core.errors import NotFound
from flywheel.core.http import AuthenticatedApiRequest
from flywheel.core.text import whole_number
from flywheel.runs import access, selectors, services
from flywheel.runs.models import Device, ModelVersion, Recipe, RunEvent, TrainingRun


class RunSerializer(serializers.ModelSerializer[TrainingRun]):
    """A run as its list and page show it."""

    snapshot = serializers.UUIDField(source="snapshot.uid", read_only=True)
    recipe = serializers.CharField(source="recipe.name", read_only=True)
    device = serializers.CharField(source="device.name", read_only=True)
    attempt = serializers.IntegerField(source="attempts", read_only=True)
    model = serializers.SerializerMethodField()

    class Meta:
        model = TrainingRun
        fields = (
            "uid", "name", "status", "snapshot", "recipe", "device", "model", "step", "total_steps", "attempt", "cost",
            "reserved", "max_cost", "seconds", "estimate", "error", "created_at", "queued_at", "started_at",
            "finished_at", "last_seq", "spec", "result",
        )

    def get_model(self, run: TrainingRun) -> str | None:
        """Name of the model that it left."""
        model = getattr(run, "model", None)
        return model.name if model else None


class RunRequestSerializer(serializers.Serializer[Any]):
    """A request: names of recipe and device (the default one when left out), overrides of the recipe."""

    snapshot = serializers.UUIDField()
    recipe = serializers.CharField()
    device = serializers.CharField(required=False)
    name = serializers.CharField(required=False, allow_blank=True, max_length=200)
    overrides = serializers.DictField(required=False)


class RunEventSerializer(serializers.ModelSerializer[RunEvent]):
    """One event."""

    class Meta:
        model = RunEvent
        fields = ("seq", "at", "kind", "data")


class ModelSerializer(serializers.ModelSerializer[ModelVersion]):
    """A model with the numbers that decide its promotion."""

    project = serializers.CharField(source="project.slug", read_only=True)
    run = serializers.UUIDField(source="run.uid", read_only=True)
    evaluation = serializers.SerializerMethodField()
    rule = serializers.SerializerMethodField()

    class Meta:
        model = ModelVersion
        fields = (
            "name", "project", "generation", "status", "run", "evaluation", "rule", "promoted_at", "override_reason",
            "decision", "decision_reason", "decided_at", "created_at",
        )

    def get_evaluation(self, model: ModelVersion) -> dict[str, Any] | None:
        """Losses in nats per assistant token on a held-out split."""
        found = getattr(model.run, "evaluation", None)
        names = ("split", "rows", "tokens", "base_loss", "tuned_loss")
        return {name: getattr(found, name) for name in names} if found else None

    def get_rule(self, model: ModelVersion) -> dict[str, Any]:
        """What the promotion rule says."""
        verdict = selectors.verdict_of(model)
        return {"passes": verdict.passes, "sentence": verdict.sentence, "notes": list(verdict.notes)}


class PromoteSerializer(serializers.Serializer[Any]):
    """Why to promote over the rule, if so."""

    override_reason = serializers.CharField(required=False, allow_blank=True, max_length=4000)


class DecideSerializer(serializers.Serializer[Any]):
    """What was decided, and why."""

    decision = serializers.ChoiceField(choices=ModelVersion.Decision.choices)
    reason = serializers.CharField(max_length=4000)


class CancelSerializer(serializers.Serializer[Any]):
    """Why, if there is something to say."""

    reason = serializers.CharField(required=False, allow_blank=True, max_length=2000)


def _request_read(request: AuthenticatedApiRequest) -> dict[str, Any]:
    """Snapshot, recipe and device that a request names. Raises NotFound."""
    data = RunRequestSerializer(data=request.data)
    data.is_valid(raise_exception=True)
    wanted = data.validated_data
    snapshot = access.snapshots_of(request.user).filter(uid=wanted["snapshot"]).first()
    recipe = Recipe.objects.filter(name=wanted["recipe"]).first()
    device = Device.objects.filter(**{"name": wanted["device"]} if "device" in wanted else {"default": True}).first()
    for name, found in (("snapshot", snapshot), ("recipe", recipe), ("device", device)):
        if found is None:
            raise NotFound(f"{name} {str(wanted.get(name, 'by default'))!r} does not exist", field=name)
    return {"snapshot": snapshot, "recipe": recipe, "device": device, "overrides": wanted.get("overrides"),
            "name": wanted.get("name", "")}


class Runs(ListAPIView[TrainingRun]):
    """List runs, newest first, optionally of one `status`; request one."""

    permission = "run.view"
    serializer_class = RunSerializer

    def get_queryset(self) -> Any:
        runs = access.runs_of(self.request.user).select_related("snapshot", "recipe", "device", "model")
        status = self.request.query_params.get("status")
        return runs.filter(status=status) if status else runs

    @extend_schema(request=RunRequestSerializer, responses={201: RunSerializer})
    def post(self, request: AuthenticatedApiRequest) -> Response:
        """Request a run; it waits for an admin's approval."""
        run = services.run_request(by=request.user, **_request_read(request))
        return Response(RunSerializer(run).data, status=201)


class RunEstimate(APIView):
    """What a run would take and cost."""

    permission = "run.request"

    @extend_schema(request=RunRequestSerializer, responses={200: dict})
    def post(self, request: AuthenticatedApiRequest) -> Response:
        """Estimate without requesting."""
        chosen = _request_read(request)
        chosen.pop("name")
        found = services.run_estimate(**chosen)
        return Response(found.estimate.to_json() | {
            "reservation": str(found.reservation), "problems": list(found.problems), "last_ratio": found.last_ratio,
            "budget_left": None if found.budget_left is None else str(found.budget_left),
            "managed": [{"name": n, "cost": str(c), "currency": u} for n, c, u in found.managed],
        })


class Run(RetrieveAPIView[TrainingRun]):
    """One run."""

    permission = "run.view"
    serializer_class = RunSerializer

    def get_object(self) -> TrainingRun:
        return access.run_of(self.request.user, self.kwargs["uid"])


class RunApprove(APIView):
    """Approve a requested run."""

    permission = "run.approve"

    @extend_schema(request=None, responses=RunSerializer)
    def post(self, request: AuthenticatedApiRequest, uid: UUID) -> Response:
        """Reserve its cost and queue it."""
        run = services.run_approve(run=access.run_of(request.user, uid), by=request.user)
        return Response(RunSerializer(run).data)


class RunCancel(APIView):
    """Cancel a run."""

    permission = "run.cancel"

    @extend_schema(request=CancelSerializer, responses=RunSerializer)
    def post(self, request: AuthenticatedApiRequest, uid: UUID) -> Response:
        """At once while it waits, within seconds while it runs."""
        data = CancelSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        run = access.run_of(request.user, uid)
        services.remote_job_cancel(job=run, by=request.user, reason=data.validated_data.get("reason", ""))
        return Response(RunSerializer(access.run_of(request.user, uid)).data)


class RunEvents(APIView):
    """Events of a run."""

    permission = "run.view"

    @extend_schema(responses=RunEventSerializer(many=True))
    def get(self, request: AuthenticatedApiRequest, uid: UUID) -> Response:
        """Oldest first, those after `after` (a number), 2,000 at most."""
        run = access.run_of(request.user, uid)
        after = whole_number(request.query_params.get("after"), 0)
        events = selectors.events_after(run, after)
        return Response({"events": RunEventSerializer(events, many=True).data, "last_seq": run.last_seq,
                         "status": run.status})


class Models(ListAPIView[ModelVersion]):
    """Models, newest first, optionally of one `project` or `status`."""

    permission = "model.view"
    serializer_class = ModelSerializer

    def get_queryset(self) -> Any:
        models = access.models_of(self.request.user).select_related("project", "run__evaluation")
        wanted = {"project__slug": "project", "status": "status"}
        return models.filter(**{
            field: value for field, name in wanted.items() if (value := self.request.query_params.get(name))
        })


class Model(RetrieveAPIView[ModelVersion]):
    """One model, by name or number."""

    permission = "model.view"
    serializer_class = ModelSerializer

    def get_object(self) -> ModelVersion:
        return access.model_of(self.request.user, self.kwargs["name"])


class ModelPromote(APIView):
    """Make a model champion."""

    permission = "model.promote"

    @extend_schema(request=PromoteSerializer, responses=ModelSerializer)
    def post(self, request: AuthenticatedApiRequest, name: str) -> Response:
        """By the rule, or over it with a written reason."""
        data = PromoteSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        reason = data.validated_data.get("override_reason", "")
        model = services.model_promote(
            model=access.model_of(request.user, name), by=request.user, override_reason=reason
        )
        return Response(ModelSerializer(model).data)


class ModelDecide(APIView):
    """Say what becomes of a model of withdrawn rows."""

    permission = "model.decide"

    @extend_schema(request=DecideSerializer, responses=ModelSerializer)
    def post(self, request: AuthenticatedApiRequest, name: str) -> Response:
        """Retrain, retire, or documented anonymity; it stays out of use whatever is decided."""
        data = DecideSerializer(data=request.data)
        data.is_valid(raise_exception=True)
        model = services.model_decide(
            model=access.model_of(request.user, name), by=request.user, **data.validated_data
        )
        return Response(ModelSerializer(model).data)


class ModelPublish(APIView):
    """Have the champion suggest."""

    permission = "suggestions.publish"

    @extend_schema(request=None, responses={200: dict})
    def post(self, request: AuthenticatedApiRequest, name: str) -> Response:
        """Queue its suggestions onto open tasks that have none from it."""
        batch = services.suggestions_publish(model=access.model_of(request.user, name), by=request.user)
        if batch is None:
            return Response({"batch": None, "tasks": 0})
        return Response({"batch": str(batch.uid), "tasks": batch.total, "status": batch.status})
