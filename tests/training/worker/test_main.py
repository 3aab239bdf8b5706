"""The worker against a web that answers, is unreachable, or revokes the lease; the trainer is a small script."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.training.worker.processes import process_gone
from training.worker import main as worker
from training.worker.client import Settings, WebClient
from training.worker.main import job_run

SPEC = {"run_id": "r1", "snapshot": {"path": "", "merkle_root": "0" * 64}}
FILE = b"rows"

TRAINER = """
import json, pathlib, signal, sys, time
command, spec, out = sys.argv[1], json.loads(pathlib.Path(sys.argv[2]).read_text()), pathlib.Path(sys.argv[3])
{body}
"""

WRITES = """
def emit(seq, kind="metric", **data):
    with (out / "events.jsonl").open("a") as file:
        file.write(json.dumps({"seq": seq, "at": "2026-01-01T00:00:00+00:00", "kind": kind, "data": data}) + "\\n")

def leave():
    (out / "model").mkdir(exist_ok=True)
    (out / "model" / "config.json").write_text("{}")
    (out / "model" / "weights.safetensors").write_text("w")
    (out / "result.json").write_text(json.dumps({"run_id": spec["run_id"]}))
    (out / "manifest.json").write_text("{}")
"""


class FakeWeb(httpx.BaseTransport):
    """Answers like the web; `away` and `refuse` change that while it runs."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, Any]] = []
        self.away, self.refuse, self.cancel, self.last_seq = False, "", "", 0
        self.damaged, self.file, self.cancel_once_reported = False, "train.parquet", ""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.away:
            raise httpx.ConnectError("connection refused", request=request)
        path = request.url.path.split("/", 6)[6]
        body = b"".join(request.stream)  # type: ignore[arg-type]
        value = json.loads(body) if request.method == "POST" else body
        self.calls.append((request.method, path, value))
        if request.headers["Authorization"] != "Bearer secret" or (self.refuse and path.startswith(self.refuse)):
            return httpx.Response(403, json={"error": {"message": "not yours"}})
        if path == "lease":
            digest = hashlib.sha256(FILE).hexdigest()
            return httpx.Response(200, json={
                "spec": SPEC, "files": [{"path": self.file, "sha256": digest, "bytes": len(FILE)}],
                "lease_seconds": 45, "last_seq": self.last_seq, "attempt": 1,
            })
        if path == "events":
            self.cancel = self.cancel or self.cancel_once_reported
        if path == "heartbeat":
            return httpx.Response(200, json={"cancel": bool(self.cancel), "reason": self.cancel})
        if path in ("snapshot/train.parquet", "adapter/train.parquet", "prompts"):
            return httpx.Response(200, content=b"other" if self.damaged else FILE)
        return httpx.Response(200, json={"status": "done", "last_seq": 0})

    def of(self, path: str) -> list[Any]:
        return [value for _, found, value in self.calls if found == path]

    def paths(self) -> list[str]:
        return [path for _, path, _ in self.calls if path != "heartbeat"]


@pytest.fixture
def web() -> FakeWeb:
    return FakeWeb()


@pytest.fixture
def box(web: FakeWeb, tmp_path: Path) -> Settings:
    return Settings(url="http://web.test", work_dir=tmp_path / "work", models_dir=tmp_path / "models", transport=web,
                    heartbeat_seconds=0.1, patience_seconds=2, command=())


def with_trainer(box: Settings, tmp_path: Path, body: str) -> Settings:
    script = tmp_path / "trainer.py"
    script.write_text(TRAINER.replace("{body}", WRITES + body))
    return Settings(**{f: getattr(box, f) for f in Settings.__slots__} | {
        "command": (sys.executable, str(script)),
    })


@pytest.mark.slow
def test_a_run_is_leased_trained_reported_uploaded_and_completed(
    web: FakeWeb, box: Settings, tmp_path: Path
) -> None:
    box = with_trainer(box, tmp_path, """
assert pathlib.Path(spec["snapshot"]["path"], "train.parquet").read_bytes() == b"rows"
for n in range(1, 4): emit(n, step=n)
leave()
""")
    assert job_run("run", "r1", "secret", box) == "done"
    assert web.paths()[:2] == ["lease", "snapshot/train.parquet"]
    events = [e["seq"] for report in web.of("events") for e in report["events"]]
    assert events == [1, 2, 3]
    uploads = [p for p in web.paths() if p.startswith("artifacts/")]
    assert uploads == [
        "artifacts/model/weights.safetensors", "artifacts/model/config.json", "artifacts/result.json",
        "artifacts/manifest.json",
    ]
    assert web.paths()[-1] == "complete"
    assert list(box.work_dir.iterdir()) == []


def test_a_job_that_the_web_does_not_lease_just_ends(web: FakeWeb, box: Settings) -> None:
    assert job_run("run", "r1", "wrong", box) == "refused"
    assert web.paths() == ["lease"]


def test_a_job_whose_web_is_unreachable_from_the_start_is_not_retried_here(
    web: FakeWeb, box: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.away = True
    monkeypatch.setattr(WebClient, "_retried", _impatient(WebClient._retried))
    assert job_run("run", "r1", "secret", box) == "unreachable"


def _impatient(retried: Any) -> Any:
    return lambda self, call, patience=None: retried(self, call, 0)


@pytest.mark.slow
def test_training_goes_on_while_the_web_is_unreachable_and_no_event_is_lost(
    web: FakeWeb, box: Settings, tmp_path: Path
) -> None:
    box = with_trainer(box, tmp_path, """
for n in range(1, 21):
    emit(n, step=n); time.sleep(0.1)
leave()
""")
    away = threading.Timer(0.8, lambda: setattr(web, "away", True))
    again = threading.Timer(2.2, lambda: setattr(web, "away", False))
    away.start()
    again.start()
    assert job_run("run", "r1", "secret", box) == "done"
    seqs = [e["seq"] for report in web.of("events") for e in report["events"]]
    assert sorted(set(seqs)) == list(range(1, 21))


@pytest.mark.slow
def test_a_cancelled_run_stops_within_seconds_and_leaves_nothing(
    web: FakeWeb, box: Settings, tmp_path: Path
) -> None:
    box = with_trainer(box, tmp_path, "emit(1, step=1)\ntime.sleep(600)\n")
    threading.Timer(1.0, lambda: setattr(web, "cancel", "cancelled")).start()
    began = time.monotonic()
    assert job_run("run", "r1", "secret", box) == "given up"
    assert time.monotonic() - began < 25
    assert web.of("fail")[0]["retry"] is False
    assert list(box.work_dir.iterdir()) == []


@pytest.mark.slow
def test_the_trainer_of_a_cancelled_run_is_killed_at_once(
    web: FakeWeb, box: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This trainer ignores SIGTERM, so any grace would be waited for to its end.
    monkeypatch.setattr(worker, "STOP_GRACE_SECONDS", 600.0)
    monkeypatch.setitem(worker.GRACE_SECONDS, "worker", 600.0)
    box = with_trainer(box, tmp_path, """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
(out / "pid").write_text(str(__import__("os").getpid()))
emit(1, step=1)
time.sleep(600)
""")
    threading.Timer(1.0, lambda: setattr(web, "cancel", "cancelled")).start()
    assert job_run("run", "r1", "secret", box) == "given up"


SPENT = "budget: the 3.6 that were set aside are used up"


@pytest.mark.slow
def test_a_trainer_is_signalled_that_the_budget_is_used_up_and_its_weights_are_uploaded(
    web: FakeWeb, box: Settings, tmp_path: Path
) -> None:
    web.cancel_once_reported = SPENT
    box = with_trainer(box, tmp_path, """
def stop(*_):
    leave()
    sys.exit(3)
signal.signal(signal.SIGUSR1, stop)
emit(1, step=1)
time.sleep(600)
""")
    assert job_run("run", "r1", "secret", box) == "done"
    assert "artifacts/model/weights.safetensors" in web.paths()
    assert web.paths()[-1] == "complete"


@pytest.mark.slow
def test_a_trainer_that_does_not_stop_when_the_budget_is_used_up_is_not_retried(
    web: FakeWeb, box: Settings, tmp_path: Path
) -> None:
    web.cancel_once_reported = SPENT
    assert job_run("run", "r1", "secret", with_trainer(box, tmp_path, "emit(1, step=1)\ntime.sleep(600)")) == "given up"
    assert web.of("fail") == [{"error": SPENT, "retry": False, "released": False}]


@pytest.mark.slow
def test_a_run_that_is_cancelled_during_its_upload_sends_no_more_files(
    web: FakeWeb, box: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_file = WebClient.put_file
    jobs: list[worker.LeasedJob] = []
    upload = worker.LeasedJob.files_upload

    def upload_noted(job: worker.LeasedJob, names: list[str]) -> None:
        jobs.append(job)
        upload(job, names)

    def put_and_cancel(self: WebClient, path: str, file: Path) -> None:
        put_file(self, path, file)
        jobs[0].orders.stop = "cancelled"

    monkeypatch.setattr(worker.LeasedJob, "files_upload", upload_noted)
    monkeypatch.setattr(WebClient, "put_file", put_and_cancel)
    assert job_run("run", "r1", "secret", with_trainer(box, tmp_path, "leave()")) == "given up"
    assert [p for p in web.paths() if p.startswith("artifacts/")] == ["artifacts/model/weights.safetensors"]
    assert (web.paths()[-1], web.of("fail")[0]["retry"]) == ("fail", False)
    assert list(box.work_dir.iterdir()) == []


@pytest.mark.slow
def test_a_run_that_another_worker_leased_is_dropped_and_its_trainer_killed(
    web: FakeWeb, box: Settings, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    box = with_trainer(box, tmp_path, f"""
pathlib.Path({str(pid)!r}).write_text(str(__import__("os").getpid()))
time.sleep(600)
""")
    threading.Timer(1.0, lambda: setattr(web, "refuse", "heartbeat")).start()
    assert job_run("run", "r1", "secret", box) == "lost"
    assert process_gone(int(pid.read_text()))
    # The folder is kept, because the run may come back to this machine.
    assert (box.work_dir / "run-r1" / "snapshot" / "train.parquet").is_file()
    assert not web.of("fail")


@pytest.mark.slow
@pytest.mark.parametrize(("body", "retry", "words"), [
    ("print('error: no such base model', file=sys.stderr); sys.exit(2)", False, "refused its input: no such base"),
    ("print('error: loss is nan', file=sys.stderr); sys.exit(1)", False, "ended with code 1: loss is nan"),
    ("__import__('os').kill(__import__('os').getpid(), signal.SIGKILL)", True, "ended with code -9"),
])
def test_a_failed_trainer_is_reported_with_the_last_line_of_its_log(
    body: str, retry: bool, words: str, web: FakeWeb, box: Settings, tmp_path: Path
) -> None:
    assert job_run("run", "r1", "secret", with_trainer(box, tmp_path, body)) == ("retry" if retry else "given up")
    reported = web.of("fail")[0]
    assert reported["retry"] is retry
    assert words in reported["error"]


@pytest.mark.slow
def test_a_worker_that_is_asked_to_stop_hands_the_run_back(
    web: FakeWeb, box: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = with_trainer(box, tmp_path, "time.sleep(600)\n")
    began = time.monotonic()
    monkeypatch.setattr(worker, "worker_stops", lambda: time.monotonic() - began > 0.7)
    assert job_run("run", "r1", "secret", box) == "released"
    assert web.of("fail")[0] == {"error": "the worker was stopped", "retry": True, "released": True}
    assert (box.work_dir / "run-r1").is_dir()


def test_a_file_outside_the_jobs_folder_is_not_written(
    web: FakeWeb, box: Settings, tmp_path: Path
) -> None:
    web.file = "../../../outside"
    assert job_run("run", "r1", "secret", with_trainer(box, tmp_path, "leave()")) == "given up"
    assert "lies outside the job's folder" in web.of("fail")[0]["error"]
    assert not list(tmp_path.rglob("*outside*"))


def test_a_damaged_download_is_not_trained_on(web: FakeWeb, box: Settings, tmp_path: Path) -> None:
    web.damaged = True
    assert job_run("run", "r1", "secret", with_trainer(box, tmp_path, "leave()")) == "given up"
    assert "arrived damaged" in web.of("fail")[0]["error"]


@pytest.mark.slow
def test_suggestions_are_generated_and_their_progress_reported(
    web: FakeWeb, box: Settings, tmp_path: Path
) -> None:
    box = with_trainer(box, tmp_path, """
assert command == "generate" and pathlib.Path(spec["prompts_path"]).is_file()
assert pathlib.Path(spec["adapter_path"], "train.parquet").is_file()
emit(1, "log", done=1, total=2); time.sleep(2)
(out / "suggestions.jsonl").write_text('{"id": "1", "text": "x"}')
""")
    assert job_run("suggestions", "b1", "secret", box) == "done"
    assert {"done": 1} in web.of("heartbeat")
    assert [p for p in web.paths() if p.startswith("artifacts/")] == ["artifacts/suggestions.jsonl"]
