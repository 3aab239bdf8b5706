"""What trainers talk to, with a token that is good for one job: lease, heartbeat, events, files, the end.

Plain Django views below /api/v1/worker/<kind>/<uid>/, outside the people's API: no session, no person, no form.
Every answer is JSON or a stream; every error has the API's one shape. What a call does is the services' work.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponseBase, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from flywheel.core.api import error_body
from flywheel.core.errors import NotFound, TooLarge, UserError, ValidationFailed
from flywheel.core.json_values import finite, plain_json
from flywheel.core.text import whole_number
from flywheel.datasets.models import Snapshot
from flywheel.runs import services
from flywheel.runs.domain import ENDED
from flywheel.runs.models import RunArtifact, SuggestionBatch, TrainingRun
from flywheel.runs.selectors import Leased
from flywheel.runs.services.artifacts import MODEL_FOLDER, stored_open
from flywheel.runs.services.leases import LeaseLost, TokenRefused
from flywheel.runs.services.suggestions import generate_spec

MAX_BODY = 4 * 1024 * 1024

View = Callable[[HttpRequest, Leased, str, str], HttpResponseBase]


class NotAllowed(UserError):
    """The address does not take this method."""

    status = 405
    code = "method_not_allowed"


def worker_view(method: str, *, ended: bool = False) -> Callable[[View], Callable[..., HttpResponseBase]]:
    """A view for the holder of a job's token. Errors become JSON; strangers learn nothing about the job.

    ended: the view may be called once the job has ended, since telling an end again has to be harmless.
    """

    def decorate(view: View) -> Callable[..., HttpResponseBase]:
        @csrf_exempt
        @wraps(view)
        def guarded(request: HttpRequest, kind: str, uid: UUID, path: str = "") -> HttpResponseBase:
            try:
                token = _token(request)
                job = services.job_authenticate(kind=kind, uid=uid, token=token)
                if request.method != method:
                    raise NotAllowed(f"use {method} here, not {request.method}")
                if job.status in ENDED and not ended:
                    raise LeaseLost(f"{kind} {uid} is {job.get_status_display().lower()}; this token is void")
                return view(request, job, token, path)
            except UserError as error:
                body = error_body(code=error.code, message=error.message, field=error.field)
                return JsonResponse(body, status=error.status)

        guarded.permission = "job.work"  # type: ignore[attr-defined]
        return guarded

    return decorate


def _token(request: HttpRequest) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or not token:
        raise TokenRefused("send the job's token as 'Authorization: Bearer …'")
    return token


def _body(request: HttpRequest) -> dict[str, Any]:
    """The JSON object of a request. Raises Invalid and TooLarge."""
    raw = request.read(MAX_BODY + 1)
    if len(raw) > MAX_BODY:
        raise TooLarge(f"the body is larger than {MAX_BODY:,} bytes; send fewer events at once")
    try:
        value = plain_json(json.loads(raw or b"{}", parse_constant=lambda name: None, parse_float=finite))
    except (ValueError, RecursionError) as error:
        raise ValidationFailed(
            f"the body is not JSON that can be read ({type(error).__name__}: {str(error)[:200]})"
        ) from error
    if not isinstance(value, dict):
        raise ValidationFailed(f"the body is {type(value).__name__}; send an object")
    return value


@worker_view("POST")
def lease(request: HttpRequest, job: Leased, token: str, path: str) -> HttpResponseBase:
    """Take the job: its specification, its files, and how long the lease lasts."""
    worker = str(_body(request).get("worker") or "")[:200]
    if not worker:
        raise ValidationFailed("name the worker", field="worker")
    job = services.run_lease(run=job, token=token, worker=worker)
    facts = {"attempt": job.attempt, "lease_seconds": settings.FLYWHEEL["RUN_LEASE_SECONDS"]}
    if isinstance(job, TrainingRun):
        facts |= {"spec": job.spec, "files": services.snapshot_files(job), "last_seq": job.last_seq}
    else:
        facts |= {"spec": generate_spec(job).to_json(), "files": services.adapter_files(job.model),
                  "adapter": True, "last_seq": 0}
    return JsonResponse(facts)


@worker_view("POST")
def heartbeat(request: HttpRequest, job: Leased, token: str, path: str) -> HttpResponseBase:
    """Still alive; answers whether to stop."""
    done = _body(request).get("done")
    return JsonResponse(services.run_heartbeat(run=job, token=token, done=done if isinstance(done, int) else None))


@worker_view("POST")
def events(request: HttpRequest, job: Leased, token: str, path: str) -> HttpResponseBase:
    """A few events of a run, in order."""
    found = _body(request).get("events")
    if not isinstance(job, TrainingRun):
        raise NotFound("a batch of suggestions takes no events; tell its progress with the heartbeat")
    if not isinstance(found, list):
        raise ValidationFailed("send a list of events", field="events")
    return JsonResponse({"last_seq": services.run_report(run=job, token=token, events=found)})


@worker_view("GET")
def snapshot(request: HttpRequest, job: Leased, token: str, path: str) -> HttpResponseBase:
    """One file of the run's snapshot."""
    services.lease_check(job)
    if isinstance(job, TrainingRun) and job.snapshot.status == Snapshot.Status.TAINTED:
        raise LeaseLost(f"rows of snapshot {job.snapshot.name!r} belong to people who withdrew their consent; stop")
    known = {f["path"] for f in services.snapshot_files(job)} if isinstance(job, TrainingRun) else set()
    if path not in known:
        raise NotFound(f"the snapshot of this job has no file {path[:120]!r}")
    assert isinstance(job, TrainingRun)
    return _stream(f"{job.snapshot.path}/{path}")


@worker_view("GET")
def prompts(request: HttpRequest, job: Leased, token: str, path: str) -> HttpResponseBase:
    """The prompts of a batch, JSON lines."""
    services.lease_check(job)
    if not isinstance(job, SuggestionBatch):
        raise NotFound("a training run has no prompts")
    return _stream(job.prompts_path)


@worker_view("GET")
def adapter(request: HttpRequest, job: Leased, token: str, path: str) -> HttpResponseBase:
    """One file of the model that a batch answers with."""
    services.lease_check(job)
    found = None
    if isinstance(job, SuggestionBatch):
        found = RunArtifact.objects.filter(run=job.model.run_id, path=MODEL_FOLDER + path).first()
    if found is None:
        raise NotFound(f"the model of this job has no file {path[:120]!r}")
    return _stream(found.storage_path)


@worker_view("PUT")
def artifact(request: HttpRequest, job: Leased, token: str, path: str) -> HttpResponseBase:
    """Take one file; its length and SHA-256 stand in the headers, its bytes are the body."""
    length = whole_number(request.headers.get("Content-Length"))
    if length is None:
        raise ValidationFailed("send Content-Length; the file's size has to be known before it is taken")
    digest = request.headers.get("X-Content-SHA256", "")
    stored = services.artifact_store(
        run=job, token=token, path=path, stream=request, sha256=digest, size=length  # type: ignore[arg-type]
    )
    return JsonResponse(stored, status=201)


@worker_view("POST", ended=True)
def complete(request: HttpRequest, job: Leased, token: str, path: str) -> HttpResponseBase:
    """The job has ended; a run's result is in the body, a batch's was uploaded."""
    body = _body(request)
    if isinstance(job, TrainingRun):
        job = services.run_complete(run=job, token=token, result=body.get("result"))
    else:
        job = services.suggestions_complete(batch=job, token=token)
    return JsonResponse({"status": job.status})


@worker_view("POST", ended=True)
def fail(request: HttpRequest, job: Leased, token: str, path: str) -> HttpResponseBase:
    """The worker gives up: for good, or for another attempt."""
    body = _body(request)
    job = services.run_fail(
        run=job, token=token, error=str(body.get("error") or "no reason given"), retry=body.get("retry") is True,
        released=body.get("released") is True,
    )
    return JsonResponse({"status": job.status})


def _stream(storage_path: str) -> FileResponse:
    file = stored_open(storage_path)
    response = FileResponse(file, content_type="application/octet-stream")
    response["Content-Length"] = str(getattr(file, "size", response.get("Content-Length")))
    return response
