"""The trainers' API: who may call what, what is taken, what is never shown."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.test import Client
from django.utils import timezone

from flywheel.core.errors import ValidationFailed
from flywheel.core.models import User
from flywheel.runs import services
from flywheel.runs.models import ModelVersion, RunArtifact, SuggestionBatch, TrainingRun
from tests.flywheel.runs import builders
from tests.flywheel.runs.builders import Messages
from tests.flywheel.runs.conftest import upload_model

pytestmark = pytest.mark.django_db
Leased = tuple[TrainingRun, str]

CALLS = (
    ("post", "lease"), ("post", "heartbeat"), ("post", "events"), ("get", "snapshot/train.parquet"), ("get", "prompts"),
    ("get", "adapter/adapter_config.json"), ("put", "artifacts/result.json"), ("post", "complete"), ("post", "fail"),
)


def call(method: str, job: Any, path: str, token: str, body: Any = None, *, kind: str = "run", **headers: str) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body or {})
    return getattr(Client(), method)(
        f"/api/v1/worker/{kind}/{job.uid}/{path}",
        headers={"Authorization": f"Bearer {token}"} | {k.replace("_", "-"): v for k, v in headers.items()},
        **({} if method == "get" else {"data": data, "content_type": "application/json"}),
    )


def put(job: Any, path: str, token: str, content: bytes, *, sha256: str = "", kind: str = "run") -> Any:
    digest = sha256 or hashlib.sha256(content).hexdigest()
    return call("put", job, f"artifacts/{path}", token, content, kind=kind, X_Content_SHA256=digest)


# -- strangers -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("method", "path"), CALLS)
def test_nobody_gets_in_without_the_jobs_own_token(
    method: str, path: str, leased: Leased, admin: User, lead: User, client_of: Callable[[User], Client],
    messages: Messages,
) -> None:
    run, token = leased
    other = services.run_approve(run=builders.requested(lead, of=run.snapshot), by=admin)
    foreign = messages.token_of(other)
    for wrong in ("", "x", foreign, token[:-1], token + "x"):
        answer = call(method, run, path, wrong)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "token_refused"
    # A person's session, even an admin's, opens nothing here.
    assert client_of(admin).get(f"/api/v1/worker/run/{run.uid}/snapshot/train.parquet").status_code == 401


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_a_token_of_an_ended_run_is_void(method: str, path: str, leased: Leased) -> None:
    run, token = leased
    services.job_fail(job=run, token=token, error="over")
    if path == "fail":
        # Telling an end twice is the same as once.
        assert call(method, run, path, token).json() == {"status": "failed"}
    else:
        assert call(method, run, path, token).status_code == 403


@pytest.mark.parametrize(("method", "path"), [c for c in CALLS if c[1] not in ("lease", "heartbeat")])
def test_a_lease_that_ran_out_opens_nothing_before_it_is_renewed(method: str, path: str, leased: Leased) -> None:
    run, token = leased
    TrainingRun.objects.filter(pk=run.pk).update(claim_expires_at=timezone.now() - timedelta(seconds=1))
    body: Any = {"events": []} if path == "events" else {"result": builders.result_of(run)}
    assert call(method, run, path, token, body, X_Content_SHA256="0" * 64).status_code == 403


def test_an_attempt_believed_dead_can_write_nothing_any_more(leased: Leased, messages: Messages) -> None:
    run, zombie = leased
    TrainingRun.objects.filter(pk=run.pk).update(claim_expires_at=timezone.now() - timedelta(seconds=1))
    services.remote_jobs_sweep()
    fresh = messages.token_of(run)
    assert call("post", run, "lease", fresh, {"worker": "b"}).status_code == 200
    for method, path in CALLS:
        assert call(method, run, path, zombie, {"worker": "a"}).status_code == 401
    assert put(run, "result.json", zombie, b"{}").status_code == 401
    assert RunArtifact.objects.count() == 0


def test_a_batchs_token_opens_no_run_and_no_other_kind(leased: Leased) -> None:
    run, token = leased
    assert call("post", run, "heartbeat", token, kind="suggestions").status_code == 401
    assert Client().post(f"/api/v1/worker/party/{run.uid}/heartbeat").status_code == 404


# -- lease, heartbeat, events ----------------------------------------------------------------------------------------
def test_a_lease_tells_what_to_do(queued: Leased) -> None:
    run, token = queued
    answer = call("post", run, "lease", token, {"worker": "box/1/a"})
    assert answer.status_code == 200
    told = answer.json()
    assert told["spec"]["run_id"] == str(run.uid)
    assert {f["path"] for f in told["files"]} == {
        "manifest.json", "train.parquet", "validation.parquet", "test.parquet"
    }
    assert (told["attempt"], told["last_seq"], told["lease_seconds"]) == (1, 0, 45)
    assert call("post", run, "lease", token, {"worker": "box/1/b"}).status_code == 403
    assert call("post", run, "lease", token, {}).status_code == 400


def test_a_heartbeat_brings_the_order_to_stop(leased: Leased, admin: User) -> None:
    run, token = leased
    assert call("post", run, "heartbeat", token).json()["cancel"] is False
    services.remote_job_cancel(job=run, by=admin)
    assert call("post", run, "heartbeat", token).json() == {"cancel": True, "reason": "cancelled", "lease_seconds": 45}


def test_bodies_that_are_not_what_they_should_be_are_named(leased: Leased) -> None:
    run, token = leased
    assert call("post", run, "events", token, b"{").json()["error"]["message"].startswith("the body is not JSON")
    assert call("post", run, "events", token, b"[]").status_code == 400
    assert call("post", run, "events", token, {"events": "x"}).json()["error"]["field"] == "events"
    assert call("post", run, "events", token, {"events": [{}] * 501}).status_code == 400
    assert call("post", run, "events", token, b" " * (4 * 1024 * 1024 + 1)).status_code == 413
    assert call("get", run, "heartbeat", token).status_code == 405


# -- downloads -------------------------------------------------------------------------------------------------------
def test_the_snapshots_files_arrive_as_they_are(leased: Leased) -> None:
    run, token = leased
    for file in services.snapshot_files(run):
        answer = call("get", run, f"snapshot/{file['path']}", token)
        content = b"".join(answer.streaming_content)
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
        assert int(answer["Content-Length"]) == file["bytes"] == len(content)


@pytest.mark.parametrize("path", [
    "../db.sqlite3", "..%2f..%2fdb.sqlite3", "/etc/passwd", "README.md", "train.parquet/",
])
def test_nothing_but_the_snapshots_files_can_be_downloaded(path: str, leased: Leased) -> None:
    run, token = leased
    assert call("get", run, f"snapshot/{path}", token).status_code == 404


# -- uploads ---------------------------------------------------------------------------------------------------------
def test_an_upload_is_stored_with_its_digest_and_repeating_it_changes_nothing(leased: Leased) -> None:
    run, token = leased
    for _ in range(2):
        assert put(run, "model/adapter_config.json", token, b"{}").status_code == 201
    found = RunArtifact.objects.get()
    assert (found.path, found.size) == ("model/adapter_config.json", 2)
    with default_storage.open(found.storage_path) as file:
        assert file.read() == b"{}"


@pytest.mark.parametrize("path", [
    "../x", "a/../../x", "..%2fx", "a%2f..%2f..%2fx", "/x", "a//b", ".hidden", "a/.b", "a\\b", "a%00b", "a b",
    "a/b/c/d/e/f", "x" * 101,
])
def test_paths_that_could_leave_their_folder_are_refused(path: str, leased: Leased) -> None:
    run, token = leased
    assert put(run, path, token, b"x").status_code in (400, 404)
    assert RunArtifact.objects.count() == 0


def test_a_damaged_or_torn_upload_is_never_visible(leased: Leased) -> None:
    run, token = leased
    assert put(run, "model/w.safetensors", token, b"abc", sha256="0" * 64).json()["error"]["code"] == "digest_mismatch"
    assert put(run, "model/w.safetensors", token, b"abc", sha256="nothing").status_code == 400
    with pytest.raises(ValidationFailed, match="1 bytes early"):
        services.artifact_store(job=run, token=token, path="model/w.safetensors", stream=io.BytesIO(b"ab"), size=3,
                                sha256=hashlib.sha256(b"abc").hexdigest())
    assert RunArtifact.objects.count() == 0
    assert not default_storage.exists(f"runs/{run.uid}") or default_storage.listdir(f"runs/{run.uid}")[1] == []


def test_a_file_that_is_too_large_is_not_read(leased: Leased, settings: Any) -> None:
    run, token = leased
    settings.FLYWHEEL = settings.FLYWHEEL | {"ARTIFACT_MAX_BYTES": 10}
    assert put(run, "model/w.safetensors", token, b"x" * 11).status_code == 413
    assert put(run, "model/w.safetensors", token, b"x" * 10).status_code == 201


def test_a_run_is_completed_over_http_and_telling_it_again_is_fine(leased: Leased) -> None:
    run, token = leased
    upload_model(run, token)
    for _ in range(2):
        answer = call("post", run, "complete", token, {"result": builders.result_of(run)})
        assert (answer.status_code, answer.json()) == (200, {"status": "done"})
    assert ModelVersion.objects.count() == 1
    assert put(run, "model/late.bin", token, b"x").status_code == 403


# -- suggestions -----------------------------------------------------------------------------------------------------
@pytest.fixture
def batch(model: ModelVersion, admin: User, lead: User, messages: Messages) -> tuple[SuggestionBatch, str]:
    builders.tasks(model.project, builders.source(lead), 2)
    made = services.suggestions_publish(model=services.model_promote(model=model, by=admin), by=admin)
    assert made is not None
    return made, messages.token_of(made)


def test_a_batch_gets_prompts_and_adapter_and_gives_suggestions(batch: tuple[SuggestionBatch, str]) -> None:
    job, token = batch
    told = call("post", job, "lease", token, {"worker": "a"}, kind="suggestions").json()
    assert {f["path"] for f in told["files"]} == {"adapter_model.safetensors", "adapter_config.json"}
    assert told["spec"]["base_revision"] == "r1"
    answer = call("get", job, "adapter/adapter_model.safetensors", token, kind="suggestions")
    assert b"".join(answer.streaming_content) == b"weights"
    assert call("get", job, "adapter/../result.json", token, kind="suggestions").status_code == 404
    assert call("get", job, "snapshot/train.parquet", token, kind="suggestions").status_code == 404
    lines = b"".join(call("get", job, "prompts", token, kind="suggestions").streaming_content).splitlines()
    prompts = [json.loads(line) for line in lines]
    assert [m["role"] for m in prompts[0]["messages"]] == ["system", "user"]
    assert call("post", job, "events", token, {"events": []}, kind="suggestions").status_code == 404
    assert put(job, "other.json", token, b"{}", kind="suggestions").status_code == 400
    assert call("post", job, "complete", token, kind="suggestions").status_code == 422

    answers = b"".join(json.dumps({"id": p["id"], "text": "On its way."}).encode() + b"\n" for p in prompts)
    assert put(job, "suggestions.jsonl", token, answers, kind="suggestions").status_code == 201
    assert call("post", job, "heartbeat", token, {"done": 1}, kind="suggestions").status_code == 200
    for _ in range(2):
        assert call("post", job, "complete", token, kind="suggestions").json() == {"status": "done"}


@pytest.mark.parametrize("line", [b"{}\n", b"no\n", b'{"id": "999999", "text": "x"}\n', b'{"id": 3}\n'])
def test_answers_to_nothing_are_refused_by_line(line: bytes, batch: tuple[SuggestionBatch, str]) -> None:
    job, token = batch
    call("post", job, "lease", token, {"worker": "a"}, kind="suggestions")
    put(job, "suggestions.jsonl", token, line, kind="suggestions")
    answer = call("post", job, "complete", token, kind="suggestions")
    assert answer.status_code == 400
    assert "line 1" in answer.json()["error"]["message"]
