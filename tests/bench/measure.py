"""One benchmark in one process: `python -m tests.bench.measure NAME N BACKEND [ONLY]`.

The environment (database, folder) is set by the caller. HTTP figures are taken against gunicorn as `make run` starts
it, over one kept-alive connection on loopback. Prints JSON lines on standard output and nothing else there.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

REPETITIONS = 200
LOCKED_AHEAD = 500
WORDS = (
    "Hello, my mower stopped on the slope again and shows code E7. I cleaned the wheels and reset it twice as your "
    "page says, but after ten minutes it stands still and beeps. The warranty card says two years, bought in May. "
    "Could you tell me whether I should send it in or whether somebody comes to look at it? I need it before the "
    "weekend since we have guests, and the grass is already quite high. Thank you very much for your help."
)


def emit(bench: str, value: float, unit: str, backend: str, n: int, only: str) -> None:
    """Print one line, unless another figure was asked for."""
    if only in ("", bench):
        line = {"bench": bench, "value": round(value, 2), "unit": unit, "backend": backend, "n": n}
        print(json.dumps(line), flush=True)


def merkle(n: int, backend: str, only: str) -> None:
    """Rows of 300 bytes, as canonical JSON gives them, hashed into leaves and treed."""
    from training.contract import leaf_hash, merkle_root

    rows = [b"%0300d" % i for i in range(n)]
    started = time.perf_counter()
    merkle_root(leaf_hash(row) for row in rows)
    emit("merkle_leaves_per_s", n / (time.perf_counter() - started), "leaves/s", backend, n, only)


def trainer(n: int, backend: str, only: str) -> None:
    """Tokens without padding per second of training, as the trainer measures it itself."""
    from training.bench import bench

    for line in bench("trainer_real_tokens_per_s"):
        emit("trainer_real_tokens_per_s", line["value"], line["unit"], backend, line["n"], only)


def _django() -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def _person(name: str, *roles: str) -> Any:
    from django.contrib.auth.models import Group

    from flywheel.core.models import User

    user = User.objects.create_user(username=name)
    user.groups.set(Group.objects.filter(name__in=roles))
    return user


def _token(user: Any) -> str:
    from knox.models import AuthToken

    return str(AuthToken.objects.create(user)[1])


def _source(owner: Any) -> Any:
    from flywheel.capture.models import Source

    return Source.objects.create(
        name="bench", owner=owner, license_spdx="CC0-1.0", purposes=["sft"], subject_namespace="bench",
        consent_policy=Source.ConsentPolicy.RECORDED_BASIS,
    )


@contextlib.contextmanager
def _server() -> Iterator[http.client.HTTPConnection]:
    from tests.stack import free_port

    port = free_port()
    command = [
        sys.executable, "-m", "gunicorn", "flywheel.wsgi:application", "--bind", f"127.0.0.1:{port}", "--workers", "1",
        "--threads", "8", "--worker-class", "gthread", "--keep-alive", "75", "--timeout", "600", "--no-control-socket",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=900)
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                connection.request("GET", "/healthz")
                connection.getresponse().read()
                break
            connection.close()
            time.sleep(0.1)
        yield connection
    finally:
        # A connection that is kept alive would hold the server up until its grace is over.
        connection.close()
        process.terminate()
        process.wait(timeout=20)


def _call(connection: http.client.HTTPConnection, method: str, path: str, token: str, body: Any = None) -> Any:
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    connection.request(
        method, path, body=content,
        headers={"Authorization": f"Token {token}", "Content-Type": "application/json", "Host": "127.0.0.1"},
    )
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path} answered {answer.status}: {text[:500]!r}")
    return json.loads(text) if text else None


def capture_bulk(n: int, backend: str, only: str) -> None:
    """Tickets of 80 words posted as one NDJSON stream until the answer came: stored raw, not yet processed."""
    _django()
    admin = _person("admin", "admin")
    _source(admin)
    token = _token(admin)
    lines = b"".join(
        json.dumps({
            "external_id": f"t{i}", "version": "1", "subject": f"Ticket {i}",
            "messages": [
                {"role": "customer", "author": f"c{i}", "at": "2026-01-05T10:00:00Z", "text": f"{WORDS} #{i}"},
            ],
        }).encode() + b"\n"
        for i in range(n)
    )
    with _server() as connection:
        started = time.perf_counter()
        answer = _call(connection, "POST", "/api/v1/captures/bulk/?source=bench", token, lines)
        seconds = time.perf_counter() - started
    if answer["captured"] != n:
        raise RuntimeError(f"captured {answer['captured']} of {n}")
    emit("capture_bulk_per_s", n / seconds, "captures/s", backend, n, only)


def process_captures(n: int, backend: str, only: str) -> None:
    """Captures normalised, redacted (the real detector), grouped and stored as examples."""
    _django()
    from flywheel.capture.services import capture_bulk as take
    from flywheel.capture.services import process_captures as process

    admin = _person("admin", "admin")
    source = _source(admin)
    rows = [
        {"external_id": f"t{i}", "messages": [
            {"role": "customer", "author": f"c{i}", "text": f"{WORDS} {uuid.uuid4()}"},
        ]}
        for i in range(n)
    ]
    list(take(source=source, lines=rows, by=admin))
    process(limit=20)
    started = time.perf_counter()
    done = 0
    while taken := process():
        done += taken
    emit("process_captures_per_s", done / (time.perf_counter() - started), "captures/s", backend, n, only)


def _examples(source: Any, admin: Any, n: int) -> list[Any]:
    """Bulk rows for n conversations with context and an agent's reply, as processing would have made them."""
    from django.utils import timezone

    from flywheel.capture.models import Capture, Example
    from provenance.models import LawfulBasis, ProvenanceRecord

    now = timezone.now()
    LawfulBasis.objects.create(
        source_system="bench", basis="eu-gdpr:A6-1-f", purposes=["sft"], document="bench", reviewed_by=admin,
        reviewed_at=now,
    )
    made = []
    for low in range(0, n, 5000):
        span = range(low, min(low + 5000, n))
        captures = Capture.objects.bulk_create([
            Capture(source=source, external_id=f"t{i}", version="1", kind="ticket", payload="{}",
                    payload_sha256=f"{i:064x}", order_key="1", status="processed", processed_at=now)
            for i in span
        ])
        records = ProvenanceRecord.objects.bulk_create([
            ProvenanceRecord(source_system="bench", source_record_id=f"t{i}", content_sha256=f"{i:064x}",
                             captured_at=now, captured_by="bench", license_spdx="CC0-1.0", intended_purposes=["sft"],
                             personal_data="none", origin_geography="EU", processing_included=["EU"],
                             storage_allowed=["EU"])
            for i in span
        ])
        turns = [{"role": "customer", "author": "c", "at": None, "text": WORDS},
                 {"role": "agent", "author": "a", "at": None, "text": "Please send it in."}]
        made += Example.objects.bulk_create([
            Example(source=source, external_id=f"t{i}", kind="ticket", capture=capture, provenance=record,
                    conversation=turns, redacted=turns, context_length=1, text_sha256=f"{i:064x}",
                    group_key=f"{i:064x}", label=f"l{i % 8}")
            for i, capture, record in zip(span, captures, records, strict=True)
        ])
    return made


def _project(source: Any, lead: Any) -> Any:
    from annotation.services import default_project_ensure

    return default_project_ensure(by=lead, sources=[source], name="Bench", slug="bench", overlap=1)


def tasks_http(n: int, backend: str, only: str) -> None:
    """Next task and submit by one annotator, with 500 tasks held by others ahead of them."""
    _django()
    from django.db import connection as database
    from django.utils import timezone

    from annotation.models import Assignment, Task
    from annotation.services import membership_set

    lead = _person("lead", "lead", "admin")
    annotator, other = _person("ann", "annotator"), _person("other", "annotator")
    source = _source(lead)
    examples = _examples(source, lead, n)
    project = _project(source, lead)
    membership_set(project=project, user=annotator, role="annotator", by=lead)
    membership_set(project=project, user=other, role="annotator", by=lead)
    project.last_example_id = examples[-1].pk
    project.save(update_fields=["last_example_id"])
    Task.objects.bulk_create([Task(project=project, example=e, overlap=1) for e in examples], batch_size=5000)
    ahead = list(Task.objects.filter(project=project).order_by("id").values_list("pk", flat=True)[:LOCKED_AHEAD])
    now = timezone.now()
    Task.objects.filter(pk__in=ahead).update(slots_taken=1, available=False)
    Assignment.objects.bulk_create([
        Assignment(task_id=t, project=project, user=other, leased_at=now, expires_at=now + timedelta(hours=1))
        for t in ahead
    ])
    with database.cursor() as cursor:
        cursor.execute("ANALYZE")
    token = _token(annotator)
    nexts, submits = [], []
    with _server() as connection:
        for turn in range(REPETITIONS + 10):
            started = time.perf_counter()
            found = _call(connection, "POST", "/api/v1/projects/bench/next/", token, {})
            middle = time.perf_counter()
            answer = {
                "submission_id": str(uuid.uuid4()), "lead_time_seconds": 30.5,
                "result": [
                    {"from_name": "reply", "to_name": "conversation", "type": "textarea",
                     "value": {"text": ["Please send it in; we pay the postage."]}},
                    {"from_name": "quality", "to_name": "conversation", "type": "choices",
                     "value": {"choices": ["needs_edits"]}},
                ],
            }
            assignment = found.get("assignment", found)
            identifier = assignment["id"] if isinstance(assignment, dict) else assignment
            middle_two = time.perf_counter()
            _call(connection, "POST", f"/api/v1/assignments/{identifier}/submit/", token, answer)
            ended = time.perf_counter()
            if turn >= 10:
                nexts.append((middle - started) * 1000)
                submits.append((ended - middle_two) * 1000)
    emit("next_task_http_p95_ms", statistics.quantiles(nexts, n=20)[18], "ms", backend, n, only)
    emit("submit_http_p95_ms", statistics.quantiles(submits, n=20)[18], "ms", backend, n, only)


def freeze_and_export(n: int, backend: str, only: str) -> None:
    """n settled tasks frozen into Parquet under a Merkle root, then downloaded as OpenAI chat JSONL."""
    _django()
    from django.utils import timezone

    from annotation.models import Annotation, Task
    from flywheel.datasets.models import Snapshot
    from flywheel.datasets.services import snapshot_request
    from flywheel.work.jobs import jobs_drain

    lead = _person("lead", "lead", "admin")
    source = _source(lead)
    examples = _examples(source, lead, n)
    project = _project(source, lead)
    project.last_example_id = examples[-1].pk
    project.save(update_fields=["last_example_id"])
    now = timezone.now()
    for low in range(0, n, 5000):
        tasks = Task.objects.bulk_create([
            Task(project=project, example=e, overlap=1, state="settled", settled_at=now, submitted_count=1,
                 slots_taken=1, available=False)
            for e in examples[low : low + 5000]
        ])
        answers = Annotation.objects.bulk_create([
            Annotation(task=t, project=project, author=lead, state="accepted", searched_at=now, result=[
                {"from_name": "reply", "to_name": "conversation", "type": "textarea",
                 "value": {"text": [f"Please send it in under number {t.pk}; we pay the postage."]}},
                {"from_name": "quality", "to_name": "conversation", "type": "choices", "value": {"choices": ["good"]}},
            ])
            for t in tasks
        ])
        for task, answer in zip(tasks, answers, strict=True):
            task.settled_annotation = answer
        Task.objects.bulk_update(tasks, ["settled_annotation"], batch_size=1000)
    started = time.perf_counter()
    snapshot: Any = snapshot_request(
        project=project, name="Bench", purpose="sft", region="EU", seed=1, shares={"validation": 0.1, "test": 0.1},
        by=lead, system_prompt="",
    )
    jobs_drain()
    seconds = time.perf_counter() - started
    snapshot.refresh_from_db()
    if snapshot.status != Snapshot.Status.FROZEN or snapshot.row_count != n:
        raise RuntimeError(f"{snapshot.status}, {snapshot.row_count} rows, {snapshot.error} {snapshot.refused_counts}")
    emit("snapshot_freeze_rows_per_s", n / seconds, "rows/s", backend, n, only)
    token = _token(lead)
    with _server() as connection:
        started = time.perf_counter()
        connection.request("GET", f"/api/v1/snapshots/{snapshot.uid}/openai.jsonl?split=all",
                           headers={"Authorization": f"Token {token}", "Host": "127.0.0.1"})
        answer = connection.getresponse()
        rows = answer.read().count(b"\n")
        seconds = time.perf_counter() - started
    if answer.status != 200 or rows < n:
        raise RuntimeError(f"export answered {answer.status} with {rows} of {n} rows")
    emit("export_rows_per_s", rows / seconds, "rows/s", backend, n, only)


MEASURES = {
    "merkle_leaves_per_s": merkle,
    "trainer_real_tokens_per_s": trainer,
    "capture_bulk_per_s": capture_bulk,
    "process_captures_per_s": process_captures,
    "next_task_http_p95_ms": tasks_http,
    "snapshot_freeze_rows_per_s": freeze_and_export,
}

if __name__ == "__main__":
    MEASURES[sys.argv[1]](int(sys.argv[2]), sys.argv[3], sys.argv[4] if len(sys.argv) > 4 else "")
