"""The trainers' Celery application: a message says that a job waits, this worker leases it, runs it and reports.

Never touches the database; `training.worker.client` makes the HTTP calls. The trainer is a child process that does not
know about leases. Its folder is kept, so that the next attempt resumes from the last checkpoint.
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
from typing import Any

import httpx
from celery import Celery
from celery.worker import state as celery_state
from kombu import Queue

from training.contract import EXIT_BAD_INPUT, EXIT_DONE, EXIT_STOPPED
from training.worker.client import HEARTBEAT_SECONDS, LeaseLost, Rejected, Settings, WebClient, var_dir
from training.worker.process import Child, Orders, Tail, job_folders_prune

__all__ = ["Settings", "app", "job_run", "run_job"]

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
GRACE_SECONDS = {"cancelled": 0.0, "worker": 5.0}
STOP_GRACE_SECONDS = 60.0
"""How long a trainer may take to write its checkpoint: no time when a person cancels, because nothing of it is kept;
little when the worker itself must end; more when the budget is used up."""

UPLOADS_LAST = ("result.json", "manifest.json")


class Cancelled(Exception):
    """The job was cancelled while its files were being transferred."""


class Heartbeat(threading.Thread):
    """Reports every two seconds that the job is alive. The job goes on while the web is unreachable."""

    def __init__(self, web: WebClient, orders: Orders, seconds: float, progress: Callable[[], int | None]) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self.web, self.orders, self.seconds, self.progress = web, orders, seconds, progress

    def run(self) -> None:
        while not self.orders.over.wait(self.seconds):
            try:
                # Without retries: the next beat is two seconds away, and a call that waits would learn of a cancel too
                # late.
                answer = self.web.post("heartbeat", {"done": self.progress()}, patience=0)
            except LeaseLost as error:
                self.orders.lost = str(error)
                return
            except (httpx.TransportError, Rejected) as error:
                log.warning("heartbeat failed (%s); the job goes on", error)
                continue
            if answer.get("cancel"):
                self.orders.stop = str(answer.get("reason") or "cancelled")


class LeasedJob:
    """One leased job, from fetching its files to its report of success or failure."""

    def __init__(self, settings: Settings, kind: str, job_id: str, web: WebClient, lease: dict[str, Any]) -> None:
        self.settings, self.kind, self.web, self.lease = settings, kind, web, lease
        self.folder = settings.work_dir / f"{kind}-{job_id}"
        self.out = self.folder / "out"
        self.out.mkdir(parents=True, exist_ok=True)
        self.tail = Tail(self.out / "events.jsonl", self.folder / "offset", int(lease.get("last_seq") or 0))
        self.orders, self.done = Orders(), 0
        self.child: Child | None = None
        self.report_again_at = 0.0

    def run(self) -> str:
        """Carry the job out. Returns how it ended: the web's status, "lost", "given up", "retry" or "released"."""
        heartbeat = Heartbeat(
            self.web, self.orders, self.settings.heartbeat_seconds,
            lambda: self.done if self.kind == "suggestions" else None,
        )
        heartbeat.start()
        try:
            self.files_fetch()
            code, asked = self.trainer_run()
            return self.job_end(code, asked)
        except LeaseLost as error:
            log.warning("lease lost: %s", error)
            return "lost"
        except Cancelled:
            return self.job_fail("cancelled", retry=False)
        except Rejected as error:
            return self.job_fail(f"the web refused: {error}", retry=False)
        except OSError as error:
            # A full disk or a file system that went away may be fine on another machine, or later on this one.
            return self.job_fail(f"{type(error).__name__}: {error}", retry=True)
        finally:
            # Whatever ended the job, its trainer must not outlive the lease.
            if self.child is not None:
                self.child.stop(0)
            self.orders.over.set()
            heartbeat.join(timeout=10)

    def files_fetch(self) -> None:
        """Download the job's files and write the specification with this machine's paths."""
        spec = dict(self.lease["spec"])
        name = "snapshot" if self.kind == "run" else "adapter"
        inputs = self.folder / name
        for entry in self.lease["files"]:
            self.wanted_check()
            target = inputs / entry["path"]
            # The names come over the network: one with ".." in it would overwrite files of this machine.
            if not target.resolve().is_relative_to(inputs.resolve()):
                raise Rejected(f"it names file {entry['path']!r}, which lies outside the job's folder")
            self.web.get_file(f"{name}/{entry['path']}", target, entry["sha256"])
        if self.kind == "run":
            spec["snapshot"] = dict(spec["snapshot"], path=str(inputs))
        else:
            self.web.get_file("prompts", self.folder / "prompts.jsonl", "")
            spec |= {"prompts_path": str(self.folder / "prompts.jsonl"), "adapter_path": str(inputs)}
        (self.folder / "spec.json").write_text(json.dumps(spec))

    def trainer_run(self) -> tuple[int, str]:
        """Run the trainer and report its events. Returns its exit code and why it was asked to stop ("" if not)."""
        command = [*self.settings.command, "run" if self.kind == "run" else "generate",
                   str(self.folder / "spec.json"), str(self.out)]
        self.child = Child(command, self.folder / "trainer.log",
                           os.environ | {"FLYWHEEL_MODELS_DIR": str(self.settings.models_dir)})
        asked = ""
        while self.child.alive():
            time.sleep(POLL_SECONDS)
            if time.monotonic() >= self.report_again_at:
                # One batch per round, because a trainer that writes faster than the web reads must not delay a cancel.
                self.events_report(patience=0, batches=1)
            asked = self.stop_reason()
            if asked:
                # SIGUSR1 means that the budget is used up: a run keeps its weights then. Half a batch of suggestions
                # is useless, so that a batch just ends.
                money = asked not in GRACE_SECONDS and self.kind == "run"
                self.child.stop(GRACE_SECONDS.get(asked, STOP_GRACE_SECONDS),
                                signal.SIGUSR1 if money else signal.SIGTERM)
        return self.child.wait(), asked

    def stop_reason(self) -> str:
        """Why the trainer must stop now, "" to go on. Raises LeaseLost."""
        if self.orders.lost:
            raise LeaseLost(self.orders.lost)
        return "worker" if worker_stops() else self.orders.stop

    def wanted_check(self) -> None:
        """Call between two files: raises LeaseLost or Cancelled when the next one is no longer wanted."""
        if self.orders.lost:
            raise LeaseLost(self.orders.lost)
        if self.orders.stop == "cancelled":
            raise Cancelled

    def events_report(self, *, patience: float | None = None, batches: int | None = None) -> None:
        """Send what the trainer wrote, all of it or at most `batches`.

        With `patience` an unreachable web is tried again later; without it httpx.TransportError is raised.
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
                    # Training goes on while the web is unreachable; the events wait in the file.
                    self.report_again_at = time.monotonic() + HEARTBEAT_SECONDS
                    return
                except Rejected as error:
                    # Sending the same events again would be refused again; the run's result does not depend on them.
                    log.warning("events were refused: %s", error)
            self.tail.taken(len(events))

    def job_end(self, code: int, asked: str) -> str:
        """Upload the results and complete the job, or report its failure. Returns how it ended."""
        if asked == "worker":
            return self.job_fail("the worker was stopped", retry=True, released=True)
        self.events_report()
        if asked == "cancelled":
            return self.job_fail("cancelled", retry=False)
        if asked and code < 0:
            # It did not write its model in time, or had hardly begun. A new attempt would find no budget either.
            return self.job_fail(asked, retry=False)
        if code not in (EXIT_DONE, EXIT_STOPPED):
            # A trainer that was killed may succeed next time; one that refused its input or crashed would do so again.
            return self.job_fail(self.failure_text(code), retry=code < 0 and code != -signal.SIGTERM)
        if self.kind == "run":
            self.files_upload(["model", *UPLOADS_LAST])
            answer = self.web.post("complete", {"result": json.loads((self.out / "result.json").read_bytes())})
        elif code == EXIT_DONE:
            self.files_upload(["suggestions.jsonl"])
            answer = self.web.post("complete", {})
        else:
            return self.job_fail(self.failure_text(code), retry=False)
        # The web has everything now, and the folder holds rows of people whose consent may be withdrawn.
        shutil.rmtree(self.folder, ignore_errors=True)
        return str(answer["status"])

    def files_upload(self, names: list[str]) -> None:
        """Upload files and folders of OUT_DIR in this order: weights first, manifest last."""
        for name in names:
            path = self.out / name
            files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
            # The largest files first, because they are the ones that a lost connection interrupts.
            files.sort(key=lambda p: p.suffix != ".safetensors")
            for file in files:
                self.wanted_check()
                if file.is_file():
                    self.web.put_file(f"artifacts/{file.relative_to(self.out).as_posix()}", file)

    def job_fail(self, error: str, *, retry: bool, released: bool = False) -> str:
        """Report that this attempt is over. The folder is kept when another attempt will follow."""
        try:
            # A released job means that the worker is shutting down and its supervisor waits: try briefly. The web's
            # sweep finds a job whose report did not arrive.
            self.web.post("fail", {"error": error, "retry": retry, "released": released},
                          patience=1 if released else None)
        except (LeaseLost, Rejected, httpx.TransportError) as problem:
            log.warning("could not report that the job ended (%s): %s", error, problem)
            return "lost"
        if not retry:
            shutil.rmtree(self.folder, ignore_errors=True)
        return "released" if released else "retry" if retry else "given up"

    def failure_text(self, code: int) -> str:
        """Why the trainer ended, for the run's page."""
        how = {EXIT_BAD_INPUT: "refused its input", EXIT_STOPPED: "was stopped"}.get(code, f"ended with code {code}")
        return f"the trainer {how}: {self.child.last_words() if self.child else 'it never started'}"


def worker_stops() -> bool:
    """Whether this worker process was asked to end."""
    return bool(celery_state.should_stop is not None or celery_state.should_terminate is not None)


def job_run(kind: str, job_id: str, token: str, settings: Settings | None = None) -> str:
    """Lease one job and carry it out. Returns how it ended; "refused" when the web does not lease it to us."""
    settings = settings or Settings.from_environment()
    settings.work_dir.mkdir(parents=True, exist_ok=True)
    job_folders_prune(settings.work_dir)
    web = WebClient(settings, kind, job_id, token)
    try:
        # The name is new for each message: repeating the call after a lost answer returns the same lease, while a
        # second delivery of the message is refused.
        worker = f"{socket.gethostname()}/{os.getpid()}/{uuid.uuid4().hex[:8]}"
        lease = web.post("lease", {"worker": worker}, patience=30)
        return LeasedJob(settings, kind, job_id, web, lease).run()
    except (LeaseLost, Rejected) as error:
        log.info("%s %s was not leased: %s", kind, job_id, error)
        return "refused"
    except httpx.TransportError as error:
        # The web's sweep queues the job again.
        log.warning("%s %s: the web is unreachable: %s", kind, job_id, error)
        return "unreachable"
    finally:
        web.client.close()


def celery_app() -> Celery:
    """The trainers' Celery application: one queue, one job at a time.

    A message is only a nudge. It is acknowledged before the work starts, because the web queues unfinished jobs again.
    """
    # Tests import web and trainer into one process; the web's tasks must keep using the web's application.
    app = Celery("training", set_as_current=False)
    broker = os.environ.get("CELERY_BROKER_URL") or "filesystem://localhost//"
    # Installations that share a broker differ in this prefix; it is the web's setting too.
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
    """Carry out the job that the web's message names."""
    ended = job_run(kind, job_id, token)
    log.warning("%s %s: %s", kind, job_id, ended)
    return ended
