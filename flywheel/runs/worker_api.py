"""The trainers' API, below /api/v1/worker/<kind>/<uid>/: lease, heartbeat, events, files, the end.

A token that belongs to one attempt at one job is the only way in; a person's session or token opens nothing here.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, cast
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import FileResponse
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.authentication import BaseAuthentication
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from flywheel.core.errors import TooLarge, ValidationFailed
from flywheel.core.json_values import finite, plain_json
from flywheel.core.text import whole_number
from flywheel.runs import services
from flywheel.runs.domain import ENDED
from flywheel.runs.models import RemoteJob
from flywheel.runs.services.artifacts import stored_open
from flywheel.runs.services.kinds import kind_of
from flywheel.runs.services.leases import LeaseLost, TokenRefused

MAX_BODY = 4 * 1024 * 1024

Post = TypeVar("Post", bound=Callable[..., Response])


class JobAccess(NamedTuple):
    """What a token opens: one job, for the attempt that the token belongs to."""

    job: RemoteJob
    token: str


class JobTokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer <token>` with the token that was sent with the job in the address."""

    def authenticate(self, request: Request) -> tuple[AnonymousUser, JobAccess]:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise TokenRefused("send the job's token as 'Authorization: Bearer …'")
        address = cast(Mapping[str, Any], request.parser_context["kwargs"])
        job = services.job_authenticate(kind=address["kind"], uid=address["uid"], token=token)
        return AnonymousUser(), JobAccess(job, token)


class JobTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The job's token in the API's schema."""

    target_class = JobTokenAuthentication
    name = "jobToken"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer"}


class WorkerJSONParser(BaseParser):
    """A JSON object of bounded size, cleaned of what no database holds. Trainers send nothing else."""

    media_type = "*/*"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The object. Raises ValidationFailed and TooLarge."""
        raw = stream.read(MAX_BODY + 1)
        if len(raw) > MAX_BODY:
            raise TooLarge(f"the body is larger than {MAX_BODY:,} bytes; send fewer events at once")
        try:
            # JSON has no NaN and databases no infinity, but a diverging run produces both: they become null.
            value = plain_json(json.loads(raw or b"{}", parse_constant=lambda name: None, parse_float=finite))
        except (ValueError, RecursionError) as error:
            raise ValidationFailed(
                f"the body is not JSON that can be read ({type(error).__name__}: {str(error)[:200]})"
            ) from error
        if not isinstance(value, dict):
            raise ValidationFailed(f"the body is {type(value).__name__}; send an object")
        return value


class FixedNegotiation(BaseContentNegotiation):
    """One parser and one renderer, whatever the headers say: an upload's content type is that of the file."""

    def select_parser(self, request: Request, parsers: Any) -> BaseParser:
        return cast(BaseParser, parsers[0])

    def select_renderer(
        self, request: Request, renderers: Any, format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        return renderers[0], renderers[0].media_type


class WorkerView(APIView):
    """A view for the holder of a job's token."""

    authentication_classes = [JobTokenAuthentication]
    permission = "job.work"
    # The authentication refuses everyone else, so there is nothing left to permit.
    permission_classes = []
    parser_classes = [WorkerJSONParser]
    content_negotiation_class = FixedNegotiation
    http_method_names = ["get", "post", "put"]
    open_after_end = False
    """Whether the view may be called once the job has ended, because reporting an end twice must be harmless."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        job = self.job
        if job.status in ENDED and not self.open_after_end:
            raise LeaseLost(f"{job.object_ref} is {job.get_status_display().lower()}; this token is void")

    @property
    def job(self) -> RemoteJob:
        """The job in the address."""
        return cast(JobAccess, self.request.auth).job

    @property
    def token(self) -> str:
        """The token that was sent."""
        return cast(JobAccess, self.request.auth).token

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object that was sent. Raises ValidationFailed and TooLarge."""
        return cast(dict[str, Any], self.request.data)


def json_call(view: Post) -> Post:
    """Describe a call that takes and gives a JSON object in the API's schema."""
    return extend_schema(tags=["worker"], request=OpenApiTypes.OBJECT, responses=OpenApiTypes.OBJECT)(view)


class Lease(WorkerView):
    """Take the job: its specification, its files, and how long the lease lasts."""

    @json_call
    def post(self, request: Request, kind: str, uid: UUID) -> Response:
        worker = str(self.body.get("worker") or "")[:200]
        if not worker:
            raise ValidationFailed("name the worker", field="worker")
        job = services.job_lease(job=self.job, token=self.token, worker=worker)
        facts = {"attempt": job.attempts, "lease_seconds": settings.FLYWHEEL["RUN_LEASE_SECONDS"]}
        return Response(facts | kind_of(job).lease_facts(job))


class Heartbeat(WorkerView):
    """Report being alive; answers whether to stop."""

    @json_call
    def post(self, request: Request, kind: str, uid: UUID) -> Response:
        done = self.body.get("done")
        return Response(services.job_heartbeat(
            job=self.job, token=self.token, done=done if isinstance(done, int) else None
        ))


class Events(WorkerView):
    """A few events of a run, in order."""

    @json_call
    def post(self, request: Request, kind: str, uid: UUID) -> Response:
        found = self.body.get("events")
        if not isinstance(found, list):
            raise ValidationFailed("send a list of events", field="events")
        return Response({"last_seq": kind_of(self.job).events_take(self.job, self.token, found)})


class Download(WorkerView):
    """One file that the job reads: of the run's snapshot, a batch's prompts, or of the batch's model."""

    part = ""

    @extend_schema(tags=["worker"], responses=OpenApiTypes.BINARY)
    def get(self, request: Request, kind: str, uid: UUID, path: str = "") -> FileResponse:
        services.lease_check(self.job)
        file = stored_open(kind_of(self.job).file_path(self.job, self.part, path))
        response = FileResponse(file, content_type="application/octet-stream")
        response["Content-Length"] = str(getattr(file, "size", response.get("Content-Length")))
        return response


class Upload(WorkerView):
    """Take one file; its length and SHA-256 are in the headers, its bytes are the body."""

    @extend_schema(tags=["worker"], request=OpenApiTypes.BINARY, responses={201: OpenApiTypes.OBJECT})
    def put(self, request: Request, kind: str, uid: UUID, path: str) -> Response:
        length = whole_number(request.headers.get("Content-Length"))
        if length is None:
            raise ValidationFailed("send Content-Length; the file's size must be known before it is taken")
        stored = services.artifact_store(
            job=self.job, token=self.token, path=path, stream=request.stream or io.BytesIO(),
            sha256=request.headers.get("X-Content-SHA256", ""), size=length,
        )
        return Response(stored, status=201)


class Complete(WorkerView):
    """The job has ended; a run's result is in the body, a batch's was uploaded."""

    open_after_end = True

    @json_call
    def post(self, request: Request, kind: str, uid: UUID) -> Response:
        job = kind_of(self.job).complete(self.job, self.token, self.body)
        return Response({"status": job.status})


class Fail(WorkerView):
    """The worker gives up: for good, or for another attempt."""

    open_after_end = True

    @json_call
    def post(self, request: Request, kind: str, uid: UUID) -> Response:
        body = self.body
        job = services.job_fail(
            job=self.job, token=self.token, error=str(body.get("error") or "no reason given"),
            retry=body.get("retry") is True, released=body.get("released") is True,
        )
        return Response({"status": job.status})
