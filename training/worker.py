"""The trainers' Celery application: told that a job waits, leases it over HTTP, runs the trainer, reports back.

Never touches the database; `training.worker_client` makes the calls. The trainer is a child process that knows nothing
of leases; its folder survives, so that the next attempt resumes from the last checkpoint.
Start with `celery -A training.worker worker -c 1 -P solo -n trainer@%h`.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import shutil
import signal
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from celery import Celery
from celery.worker import state as celery_state
from kombu import Queue

from training.contract import EXIT_BAD_INPUT, EXIT_DONE, EXIT_STOPPED
from training.worker_client import HEARTBEAT_SECONDS, LeaseLost, Rejected, Settings, Web, var_dir
from training.worker_process import Child, Orders, Tail, prune

__all__ = ["Settings", "app", "job_run", "run_job"]

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
GRACE_SECONDS = {"cancelled": 0.0, "worker": 5.0}
STOP_GRACE_SECONDS = 60.0
"""How long a trainer may take to write its checkpoint: none when a person cancels, since nothing of it is kept; little
when the worker ends; more when the budget does."""

UPLOADS_LAST = ("result.json", "manifest.json")


class Cancelled(Exception):
    """The job was cancelled while its files were on their way."""


class Heartbeat(threading.Thread):
    """Tells the web every two seconds that we live; a web that is away changes nothing for the trainer."""

    def __init__(self, web: Web, orders: Orders, seconds: float, progress: Callable[[], int | None]) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.web, self.orders, self.seconds, self.progress = web, orders, seconds, progress

    def run(self) -> None:
        while not self.orders.over.wait(self.seconds):
            try:
                answer = self.web.post("heartbeat", {"done": self.progress()}, patience=0)
            except LeaseLost as error:
                self.orders.lost = str(error)
                return
            except (httpx.TransportError, Rejected) as error:
                log.warning("the web is away (%s); the job goes on", error)
                continue
            if answer.get("cancel"):
                self.orders.stop = str(answer.get("reason") or "cancelled")


class Job:
    """One leased job, from its files to its end."""

    def __init__(self, settings: Settings, kind: str, job_id: str, web: Web, lease: dict[str, Any]) -> None:
        self.settings, self.kind, self.web, self.lease = settings, kind, web, lease
        self.folder = settings.work_dir / f"{kind}-{job_id}"
        self.out = self.folder / "out"
        self.out.mkdir(parents=True, exist_ok=True)
        self.tail = Tail(self.out / "events.jsonl", self.folder / "offset", int(lease.get("last_seq") or 0))
        self.orders, self.done = Orders(), 0
        self.child: Child | None = None
        self.report_again_at = 0.0

    def run(self) -> str:
        """Carry it out. Returns how it ended, in a word."""
        heartbeat = Heartbeat(self.web, self.orders, self.settings.heartbeat_seconds, self._progress)
        heartbeat.start()
        try:
            self.fetch()
            code, asked = self.train()
            return self.end(code, asked)
        except LeaseLost as error:
            log.warning("lease lost: %s", error)
            return "lost"
        except Cancelled:
            return self.give_up("cancelled", retry=False)
        except Rejected as error:
            return self.give_up(f"the web refused: {error}", retry=False)
        except OSError as error:
            return self.give_up(f"{type(error).__name__}: {error}", retry=True)
        finally:
            if self.child is not None:
                self.child.stop(0)
            self.orders.over.set()
            heartbeat.join(timeout=10)

    def _progress(self) -> int | None:
        return self.done if self.kind == "suggestions" else None

    def fetch(self) -> None:
        """Bring the job's files here and write the specification with this machine's paths."""
        spec = dict(self.lease["spec"])
        if self.kind == "run":
            inputs = self.folder / "snapshot"
            for entry in self.lease["files"]:
                self.go_on()
                self.web.get_file(f"snapshot/{entry['path']}", inside(inputs, entry["path"]), entry["sha256"])
            spec["snapshot"] = dict(spec["snapshot"], path=str(inputs))
        else:
            adapter = self.folder / "adapter"
            for entry in self.lease["files"]:
                self.go_on()
                self.web.get_file(f"adapter/{entry['path']}", inside(adapter, entry["path"]), entry["sha256"])
            self.web.get_file("prompts", self.folder / "prompts.jsonl", "")
            spec |= {"prompts_path": str(self.folder / "prompts.jsonl"), "adapter_path": str(adapter)}
        (self.folder / "spec.json").write_text(json.dumps(spec))

    def train(self) -> tuple[int, str]:
        """Run the trainer and report its events. Returns its exit code and why it was asked to stop, "" for not."""
        command = [*self.settings.command, "run" if self.kind == "run" else "generate",
                   str(self.folder / "spec.json"), str(self.out)]
        self.child = Child(command, self.folder / "trainer.log",
                           os.environ | {"FLYWHEEL_MODELS_DIR": str(self.settings.models_dir)})
        asked = ""
        while self.child.alive():
            time.sleep(POLL_SECONDS)
            if time.monotonic() >= self.report_again_at:
                # One batch a round: a trainer quicker than the web must not keep us from hearing that it was cancelled.
                self.report(patience=0, batches=1)
            asked = self.stop_reason()
            if asked:
                # A run keeps its weights when the money is used up; half a batch of suggestions is of no use.
                money = asked not in GRACE_SECONDS and self.kind == "run"
                self.child.stop(GRACE_SECONDS.get(asked, STOP_GRACE_SECONDS),
                                signal.SIGUSR1 if money else signal.SIGTERM)
        return self.child.wait(), asked

    def stop_reason(self) -> str:
        """Why the trainer has to stop now, "" for not."""
        if self.orders.lost:
            raise LeaseLost(self.orders.lost)
        if worker_stops():
            return "worker"
        return self.orders.stop

    def go_on(self) -> None:
        """Between two files: raises LeaseLost or Cancelled when the next one is not wanted any more."""
        if self.orders.lost:
            raise LeaseLost(self.orders.lost)
        if self.orders.stop == "cancelled":
            raise Cancelled

    def report(self, *, patience: float | None = None, batches: int | None = None) -> None:
        """Send what the trainer wrote, all of it or at most `batches`.

        With no patience a web that is away is tried again later.
        """
        for _ in itertools.count() if batches is None else range(batches):
            if not (events := self.tail.read()):
                return
            if self.kind == "suggestions":
                self.done = max([self.done, *(int(e["data"].get("done") or 0) for e in events)])
            else:
                try:
                    self.web.post("events", {"events": events}, patience=patience)
                except httpx.TransportError:
                    if patience is None:
                        raise
                    # The web is away: training goes on, and its events wait in the file.
                    self.report_again_at = time.monotonic() + HEARTBEAT_SECONDS
                    return
                except Rejected as error:
                    log.warning("events were not taken: %s", error)
            self.tail.taken(len(events))

    def end(self, code: int, asked: str) -> str:
        """Upload and complete, or say why not."""
        if asked == "worker":
            return self.give_up("the worker was stopped", retry=True, released=True)
        self.report()
        if asked == "cancelled":
            return self.give_up("cancelled", retry=False)
        if asked and code < 0:
            # It did not end by itself in time, or had hardly begun; another attempt would find no money either.
            return self.give_up(asked, retry=False)
        if code not in (EXIT_DONE, EXIT_STOPPED):
            # A trainer that was killed may do better next time; one that refused or crashed would do the same again.
            return self.give_up(self.last_words(code), retry=code < 0 and code != -signal.SIGTERM)
        if self.kind == "run":
            self.upload(["model", *UPLOADS_LAST])
            answer = self.web.post("complete", {"result": json.loads((self.out / "result.json").read_bytes())})
        elif code == EXIT_DONE:
            self.upload(["suggestions.jsonl"])
            answer = self.web.post("complete", {})
        else:
            return self.give_up(self.last_words(code), retry=False)
        shutil.rmtree(self.folder, ignore_errors=True)
        return str(answer["status"])

    def upload(self, names: list[str]) -> None:
        """Upload files and folders of OUT_DIR in this order: weights first, manifest last."""
        for name in names:
            path = self.out / name
            files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
            files.sort(key=lambda p: p.suffix != ".safetensors")
            for file in files:
                self.go_on()
                if file.is_file():
                    self.web.put_file(f"artifacts/{file.relative_to(self.out).as_posix()}", file)

    def give_up(self, error: str, *, retry: bool, released: bool = False) -> str:
        """Tell the web that this attempt is over. The folder stays when there will be another."""
        try:
            # Whoever stops the worker waits for it; the sweep finds what we could not tell.
            self.web.post("fail", {"error": error, "retry": retry, "released": released},
                          patience=1 if released else None)
        except (LeaseLost, Rejected, httpx.TransportError) as problem:
            log.warning("could not tell that the job ended (%s): %s", error, problem)
            return "lost"
        if not retry:
            shutil.rmtree(self.folder, ignore_errors=True)
        return "released" if released else "retry" if retry else "given up"

    def last_words(self, code: int) -> str:
        """Why the trainer ended."""
        how = {EXIT_BAD_INPUT: "refused its input", EXIT_STOPPED: "was stopped"}.get(code, f"ended with code {code}")
        return f"the trainer {how}: {self.child.last_words() if self.child else 'it never started'}"


def inside(folder: Path, name: str) -> Path:
    """A file of the job's folder. Raises Rejected for a name that leads out of it."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise Rejected(f"it names file {name!r}, which lies outside the job's folder")
    return path


def worker_stops() -> bool:
    """Whether this worker process was asked to end."""
    return bool(celery_state.should_stop is not None or celery_state.should_terminate is not None)


def job_run(kind: str, job_id: str, token: str, settings: Settings | None = None) -> str:
    """Lease one job and carry it out. Returns how it ended; a job that is not ours to have ends in "refused"."""
    settings = settings or Settings.from_environment()
    settings.work_dir.mkdir(parents=True, exist_ok=True)
    prune(settings.work_dir)
    web = Web(settings, kind, job_id, token)
    try:
        # The name is new for each delivery: asking again after a lost answer gives the same lease, a repeated message
        # does not.
        worker = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
        lease = web.post("lease", {"worker": worker}, patience=30)
        return Job(settings, kind, job_id, web, lease).run()
    except (LeaseLost, Rejected) as error:
        log.info("%s %s is not for us: %s", kind, job_id, error)
        return "refused"
    except httpx.TransportError as error:
        # The web's sweep queues it again.
        log.warning("%s %s: the web is away: %s", kind, job_id, error)
        return "unreachable"
    finally:
        web.client.close()


def celery_app() -> Celery:
    """The trainers' Celery application: one queue, one job at a time, messages taken at once.

    A message is only a nudge: it is acknowledged before the work, since the web queues again what was not finished.
    """
    # Where web and trainer are imported into one process, as by tests, jobs of the web go by the web's own application.
    app = Celery("training", set_as_current=False)
    broker = os.environ.get("CELERY_BROKER_URL") or "filesystem://localhost//"
    # Installations that share a broker differ in this; it is the web's own setting.
    prefix = os.environ.get("FLYWHEEL_QUEUE_PREFIX", "")
    folder = var_dir() / "broker"
    if broker.startswith("filesystem"):
        for name in ("messages", "control"):
            (folder / name).mkdir(parents=True, exist_ok=True)
    app.conf.update(
        broker_url=broker, task_queues=[Queue(f"{prefix}gpu")], task_default_queue=f"{prefix}gpu",
        control_exchange=f"{prefix}celery", event_exchange=f"{prefix}celeryev", event_queue_prefix=f"{prefix}celeryev",
        task_ignore_result=True,
        task_acks_late=False, worker_prefetch_multiplier=1, worker_concurrency=1, broker_heartbeat=0,
        broker_connection_retry_on_startup=True, timezone="UTC",
        broker_transport_options={
            "data_folder_in": str(folder / "messages"), "data_folder_out": str(folder / "messages"),
            "control_folder": str(folder / "control"), "store_processed": False,
        } if broker.startswith("filesystem") else {"global_keyprefix": prefix} if broker.startswith("redis") else {},
    )
    return app


app = celery_app()


@app.task(name="training.run_job", ignore_result=True)
def run_job(kind: str, job_id: str, token: str) -> str:
    """What the web's message asks for."""
    ended = job_run(kind, job_id, token)
    log.warning("%s %s: %s", kind, job_id, ended)
    return ended
