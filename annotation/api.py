"""REST: projects, work and reviews, thin over the same services as the pages."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import extend_schema, inline_serializer
from rest_framework import serializers
from rest_framework.generics import ListAPIView
from rest_framework.response import Response
from rest_framework.views import APIView

from annotation import access, selectors, services
from annotation.label_config import label_config_of
from annotation.models import Annotation, Assignment, Flag, Project, Suggestion, Task
from flywheel.core.api import KeysetPagination
from flywheel.core.errors import ValidationFailed
from flywheel.core.http import AuthenticatedApiRequest


# -- in ----------------------------------------------------------------------------------------------------------------
class DraftIn(serializers.Serializer[Any]):
    draft = serializers.ListField(child=serializers.JSONField(), max_length=1_000)
    version = serializers.IntegerField(min_value=1, max_value=2_000_000_000)


class SubmitIn(serializers.Serializer[Any]):
    result = serializers.ListField(child=serializers.JSONField(), max_length=1_000)
    submission_id = serializers.UUIDField(required=False)
    lead_time_seconds = serializers.FloatField(required=False, allow_null=True)
    suggestion_id = serializers.IntegerField(required=False, allow_null=True)


class SkipIn(serializers.Serializer[Any]):
    reason = serializers.CharField(max_length=500)


class FlagIn(serializers.Serializer[Any]):
    reason = serializers.ChoiceField(choices=Flag.Reason.choices)
    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=2_000)


class FlagDecisionIn(serializers.Serializer[Any]):
    decision = serializers.ChoiceField(choices=[("return", "Back to work"), ("close", "Close the task")])
    note = serializers.CharField(required=False, allow_blank=True, default="", max_length=2_000)


class SpanIn(serializers.Serializer[Any]):
    control = serializers.CharField(max_length=200)
    part = serializers.IntegerField(min_value=0, required=False, default=0)
    start = serializers.IntegerField(min_value=0)
    keep = serializers.BooleanField()


class ReviewIn(serializers.Serializer[Any]):
    decision = serializers.CharField()
    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=2_000)
    fixed_result = serializers.ListField(child=serializers.JSONField(), required=False, allow_null=True)


class ProjectIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=200)
    slug = serializers.CharField(max_length=100, required=False, allow_blank=True, default="")
    guidelines = serializers.CharField(required=False, allow_blank=True, default="")
    label_config = serializers.CharField(required=False, trim_whitespace=False)
    overlap = serializers.IntegerField(required=False, default=1)
    lease_seconds = serializers.IntegerField(required=False, default=900)


# -- out ---------------------------------------------------------------------------------------------------------------
class ProjectOut(serializers.ModelSerializer[Project]):
    paused = serializers.SerializerMethodField()

    class Meta:
        model = Project
        fields = ("id", "name", "slug", "overlap", "lease_seconds", "label_config", "guidelines", "paused",
                  "created_at")

    def get_paused(self, project: Project) -> bool:
        return project.archived_at is not None


class SuggestionOut(serializers.ModelSerializer[Suggestion]):
    text = serializers.CharField(source="reply")

    class Meta:
        model = Suggestion
        fields = ("id", "origin", "origin_name", "text", "score")


class TaskOut(serializers.ModelSerializer[Task]):
    example = serializers.UUIDField(source="example.uid")

    class Meta:
        model = Task
        fields = ("id", "example", "state", "overlap", "slots_taken", "submitted_count", "created_at", "in_review_at",
                  "settled_at")


class AnnotationOut(serializers.ModelSerializer[Annotation]):
    completed_by = serializers.IntegerField(source="author_id")

    class Meta:
        model = Annotation
        fields = ("id", "uid", "task", "completed_by", "submission_id", "result", "state", "parent", "suggestion",
                  "suggestion_origin", "suggestion_use", "edit_distance", "lead_time_seconds", "created_at", "pii",
                  "searched_at")


class FlagOut(serializers.ModelSerializer[Flag]):
    raised_by = serializers.IntegerField(source="raised_by_id")
    resolved_by = serializers.IntegerField(source="resolved_by_id", allow_null=True)
    task_state = serializers.CharField(source="task.state")

    class Meta:
        model = Flag
        fields = ("id", "task", "task_state", "raised_by", "reason", "comment", "state", "created_at", "resolved_by",
                  "resolved_at", "note")


def assignment_out(assignment: Assignment) -> dict[str, Any]:
    """An assignment with everything needed to work on it."""
    task = assignment.task
    data = selectors.task_data(task.example)
    return {
        "id": assignment.pk, "status": assignment.status, "why": assignment.why,
        "leased_at": assignment.leased_at, "expires_at": assignment.expires_at,
        "draft": assignment.draft, "draft_version": assignment.draft_version,
        "task": TaskOut(task).data | {"data": {
            "conversation": data.messages, "target": data.target, "subject": data.subject, "reply": data.reply,
            "label": data.label, "language": data.language,
        }},
        "suggestions": SuggestionOut(selectors.suggestions_of(task.example), many=True).data,
    }


def checked(serializer: type[serializers.Serializer[Any]], request: AuthenticatedApiRequest) -> dict[str, Any]:
    """The request's body, or 400 with the field."""
    parsed = serializer(data=request.data)
    parsed.is_valid(raise_exception=True)
    return dict(parsed.validated_data)


_NEXT = inline_serializer("Next", {"assignment": serializers.JSONField(allow_null=True),
                                   "reason": serializers.CharField()})


# -- endpoints ---------------------------------------------------------------------------------------------------------
class Projects(ListAPIView[Project]):
    """Projects one may see; leads and admins make new ones."""

    permission = "project.view"
    serializer_class = ProjectOut
    pagination_class = KeysetPagination

    def get_queryset(self) -> QuerySet[Project]:
        return access.projects_of(self.request.user)

    @extend_schema(request=ProjectIn, responses={201: ProjectOut})
    def post(self, request: AuthenticatedApiRequest) -> Response:
        project = services.project_create(by=request.user, **checked(ProjectIn, request))
        return Response(ProjectOut(project).data, status=201)


class ProjectDetail(APIView):
    """One project."""

    permission = "project.view"
    @extend_schema(responses=ProjectOut)
    def get(self, request: AuthenticatedApiRequest, slug: str) -> Response:
        project = access.access_project(request.user, slug)
        schema = label_config_of(project).to_json()
        return Response(ProjectOut(project).data | {"controls": schema["controls"]})


class Next(APIView):
    """The task to work on now, leased to the person asking; `assignment` is null without one."""

    permission = "task.annotate"
    @extend_schema(request=None, responses=_NEXT)
    def post(self, request: AuthenticatedApiRequest, slug: str) -> Response:
        project = access.access_project(request.user, slug, "task.annotate")
        assignment = services.task_next(project=project, user=request.user)
        if assignment is None:
            return Response({"assignment": None, "reason": "no task with a free place is left for you"})
        return Response({"assignment": assignment_out(assignment), "reason": assignment.why})


class Tasks(ListAPIView[Task]):
    """A project's tasks, newest first, for its reviewers and leads; `?state=` filters."""

    permission = "project.read"
    serializer_class = TaskOut
    pagination_class = KeysetPagination

    def get_queryset(self) -> QuerySet[Task]:
        # The OpenAPI generator calls this without a request's arguments.
        if getattr(self, "swagger_fake_view", False):
            return Task.objects.none()
        project = access.access_project(self.request.user, self.kwargs["slug"], "project.read")
        tasks = Task.objects.filter(project=project).select_related("example")
        state = self.request.query_params.get("state", "")
        if state and state not in Task.State.values:
            raise ValidationFailed(
                f"'{state}' is not a state; there are: {', '.join(Task.State.values)}", field="state"
            )
        return tasks.filter(state=state) if state else tasks


class Draft(APIView):
    """Keep what was typed so far; an older version never overwrites a newer one."""

    permission = "assignment.own"
    @extend_schema(request=DraftIn, responses=inline_serializer("DraftSaved", {
        "saved": serializers.BooleanField(), "version": serializers.IntegerField(), "held": serializers.BooleanField(),
        "saved_at": serializers.DateTimeField(), "expires_at": serializers.DateTimeField(),
        "message": serializers.CharField(),
    }))
    def post(self, request: AuthenticatedApiRequest, pk: int) -> Response:
        body = checked(DraftIn, request)
        saved = services.draft_save(assignment=pk, user=request.user, draft=body["draft"], version=body["version"])
        return Response({
            "saved": saved.saved, "version": saved.version, "saved_at": saved.saved_at, "held": saved.held,
            "expires_at": saved.expires_at, "message": saved.message,
        })


class Submit(APIView):
    """Answer a task; the same submission_id again gives the same annotation."""

    permission = "assignment.own"
    @extend_schema(request=SubmitIn, responses={201: AnnotationOut})
    def post(self, request: AuthenticatedApiRequest, pk: int) -> Response:
        annotation = services.annotation_submit(assignment_id=pk, user=request.user, **checked(SubmitIn, request))
        return Response(AnnotationOut(annotation).data, status=201)


class Skip(APIView):
    """Hand a task back to others, with a reason."""

    permission = "assignment.own"
    @extend_schema(request=SkipIn, responses=inline_serializer("Skipped", {"status": serializers.CharField()}))
    def post(self, request: AuthenticatedApiRequest, pk: int) -> Response:
        skipped = services.task_skip(assignment_id=pk, user=request.user, **checked(SkipIn, request))
        return Response({"status": skipped.status})


class Renew(APIView):
    """Activity: the leases held in the project last on."""

    permission = "assignment.own"
    @extend_schema(request=None, responses=inline_serializer("Renewed", {"expires_at": serializers.DateTimeField()}))
    def post(self, request: AuthenticatedApiRequest, pk: int) -> Response:
        return Response({"expires_at": services.lease_renew(assignment_id=pk, user=request.user).expires_at})


class Release(APIView):
    """Give the place back on leaving, unless something was typed. `leased_at` names the very lease."""

    permission = "assignment.own"
    @extend_schema(request=None, responses=inline_serializer("Released", {"released": serializers.BooleanField()}))
    def post(self, request: AuthenticatedApiRequest, pk: int) -> Response:
        body = request.data if isinstance(request.data, dict) else {}
        leased_at = parse_datetime(str(body.get("leased_at") or ""))
        released = services.lease_release(assignment_id=pk, user=request.user, leased_at=leased_at)
        return Response({"released": released})


class Undo(APIView):
    """Take the last thing one did in the project back, an answer or a flag; `undone` says which.

    `assignment` is the task again, null when its place is not to be had any more.
    """

    permission = "task.annotate"
    @extend_schema(request=None, responses=inline_serializer("Undone", {
        "undone": serializers.ChoiceField(choices=["answer", "flag"]), "reason": serializers.CharField(),
        "assignment": serializers.JSONField(allow_null=True),
    }))
    def post(self, request: AuthenticatedApiRequest, slug: str) -> Response:
        project = access.access_project(request.user, slug, "task.annotate")
        undone = services.work_undo(project=project, user=request.user)
        assignment = undone.assignment
        return Response({
            "undone": undone.kind, "assignment": assignment_out(assignment) if assignment else None,
            "reason": assignment.why if assignment else undone.message,
        })


class FlagTask(APIView):
    """Say that something is wrong with a task one works on or reviews; it waits for a decision."""

    permission = "task.flag"
    @extend_schema(request=FlagIn, responses={201: FlagOut})
    def post(self, request: AuthenticatedApiRequest, pk: int) -> Response:
        # A stranger learns nothing of the task, not even by way of a faulty body.
        access.access_flaggable(request.user, pk)
        flag = services.task_flag(task_id=pk, user=request.user, **checked(FlagIn, request))
        return Response(FlagOut(flag).data, status=201)


class ReopenTask(APIView):
    """Take the closing of a task back."""

    permission = "task.review"
    @extend_schema(request=None, responses=inline_serializer("Reopened", {"state": serializers.CharField()}))
    def post(self, request: AuthenticatedApiRequest, pk: int) -> Response:
        return Response({"state": services.task_reopen(task_id=pk, by=request.user).state})


class Flags(ListAPIView[Flag]):
    """A project's flags, newest first, for its reviewers and leads; `?state=` and `?reason=` filter."""

    permission = "project.read"
    serializer_class = FlagOut
    pagination_class = KeysetPagination

    def get_queryset(self) -> QuerySet[Flag]:
        if getattr(self, "swagger_fake_view", False):
            return Flag.objects.none()
        project = access.access_project(self.request.user, self.kwargs["slug"], "project.read")
        asked = {name: self.request.query_params.get(name, "") for name in ("state", "reason")}
        known = {"state": Flag.State.values, "reason": Flag.Reason.values}
        for name, value in asked.items():
            if value and value not in known[name]:
                raise ValidationFailed(
                    f"'{value[:80]}' is not a {name}; there are: {', '.join(known[name])}", field=name
                )
        return selectors.flags_listed(project=project, **asked)


class ResolveFlag(APIView):
    """Decide about a flagged task: back to work, or closed. All its open flags are resolved together."""

    permission = "task.review"
    @extend_schema(request=FlagDecisionIn, responses=FlagOut)
    def post(self, request: AuthenticatedApiRequest, pk: int) -> Response:
        access.access_flag(request.user, pk)
        flag = services.flag_resolve(flag_id=pk, by=request.user, **checked(FlagDecisionIn, request))
        return Response(FlagOut(flag).data)


class ReviewAnnotation(APIView):
    """Accept, fix or reject an answer of a task in review."""

    permission = "task.review"
    @extend_schema(request=ReviewIn, responses={201: inline_serializer("Reviewed", {
        "id": serializers.IntegerField(), "decision": serializers.CharField(), "task_state": serializers.CharField(),
        "settled_annotation": serializers.IntegerField(allow_null=True),
    })})
    def post(self, request: AuthenticatedApiRequest, pk: int) -> Response:
        # A stranger learns nothing of the annotation, not even by way of a faulty body.
        access.access_annotation(request.user, pk, "task.review")
        review = services.review_settle(annotation_id=pk, reviewer=request.user, **checked(ReviewIn, request))
        task = Task.objects.only("state", "settled_annotation_id").get(pk=review.task_id)
        return Response({
            "id": review.pk, "decision": review.decision, "task_state": task.state,
            "settled_annotation": task.settled_annotation_id,
        }, status=201)


class KeepSpan(APIView):
    """Record that something found in an answer is not personal data (`keep`), or that it is after all."""

    permission = "task.review"
    @extend_schema(request=SpanIn, responses=AnnotationOut)
    def post(self, request: AuthenticatedApiRequest, pk: int) -> Response:
        access.access_annotation(request.user, pk, "task.review")
        kept = services.span_keep(annotation_id=pk, by=request.user, **checked(SpanIn, request))
        return Response(AnnotationOut(kept).data)
