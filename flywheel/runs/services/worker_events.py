"""What a worker reports of a run: events as they happen, and the result at the end."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from annotation.models import Project
from flywheel.core.errors import ValidationFailed
from flywheel.datasets.models import Snapshot
from flywheel.runs import domain
from flywheel.runs.models import Evaluation, ModelVersion, RunEvent, TrainingRun
from flywheel.runs.services import budget_ledger
from flywheel.runs.services.artifacts import model_check
from flywheel.runs.services.leases import LeaseLost, job_finish, job_locked, lease_check, reason_to_stop, trainer_of
from flywheel.runs.sinks import events_publish
from flywheel.work.models import Job
from training.contract import SPLITS, ContractError, RunResult
from training.contract import RunEvent as Event

Status = Job.Status
MAX_EVENTS = 500
MAX_SAMPLES = 20
MAX_COUNT = 2**31
"""Rows and steps are below it; tokens below its square."""


def run_report(*, run: TrainingRun, token: str, events: Iterable[Any]) -> int:
    """Take events of a leased run; an event with a number that is known already changes nothing.

    Returns the highest number known now. Raises ValidationFailed, TokenRefused and LeaseLost.
    """
    found = _events_check(events)
    with transaction.atomic():
        job = job_locked(run, token)
        lease_check(job)
        RunEvent.objects.bulk_create(
            [RunEvent(run=job, seq=e.seq, at=_moment(e.at), kind=e.kind, data=e.data) for e in found],
            ignore_conflicts=True,
        )
        budget_ledger.meter(job, timezone.now())
        fresh = []
        for event in found:
            if event.seq > job.last_seq:
                _event_apply(job, event)
                fresh.append(event)
        job.save(update_fields=["seconds", "heartbeat_at", "cost", "done", "total", "last_seq", "failures"])
        events_publish(job, fresh)
    return job.last_seq


def _events_check(events: Iterable[Any]) -> list[Event]:
    values = list(events)
    if len(values) > MAX_EVENTS:
        raise ValidationFailed(f"{len(values)} events in one report; send at most {MAX_EVENTS}", field="events")
    try:
        found = [Event.from_json(value) for value in values]
    except ContractError as error:
        raise ValidationFailed(str(error), field="events") from error
    return sorted(found, key=lambda event: event.seq)


def _moment(text: str) -> datetime:
    try:
        at = parse_datetime(text)
        if at is not None and at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValidationFailed(f"an event's time is {text[:40]!r}; give ISO 8601 with a time zone", field="events")


def _event_apply(job: TrainingRun, event: Event) -> None:
    job.last_seq = event.seq
    if event.kind in ("metric", "estimate", "checkpoint"):
        step, total = event.data.get("step"), event.data.get("total_steps")
        # `bool` is a subclass of `int`; reject it.
        if type(step) is int and 0 <= step < MAX_COUNT:
            job.done = step
        if type(total) is int and 0 <= total < MAX_COUNT:
            job.total = total
    if event.kind == "checkpoint":
        job.failures = 0


def run_complete(*, run: TrainingRun, token: str, result: Any) -> TrainingRun:
    """End a run with its result: evaluation, a candidate of the next generation, the budget settled.

    Reporting it twice is the same as once. Raises ValidationFailed and Conflict for a result that does not fit the run
    or its uploads, TokenRefused and LeaseLost.
    """
    if run.status in domain.ENDED:
        return _ended(run)
    reported = _result_check(run, result)
    with transaction.atomic():
        job = job_locked(run, token)
        if job.status not in domain.LEASED:
            return _ended(job)
        budget_ledger.meter(job, timezone.now())
        job.result = reported.to_json()
        if job.status == Status.CANCELLING:
            job_finish(job, Status.CANCELLED, actor=trainer_of(job), payload={"attempt": job.attempts})
            return job
        lease_check(job)
        job.done = reported.steps or job.done
        stop_reason = _stop_reason(job, reported)
        job.error = reported.error or stop_reason
        _evaluation_store(job, reported)
        payload = {"attempt": job.attempts, "steps": reported.steps, "stop_reason": stop_reason}
        if reported.status != "failed" and (model := _candidate(job)) is not None:
            payload["model"] = model.name
        job_finish(job, reported.status, actor=trainer_of(job), payload=payload)
    return job


def _stop_reason(job: TrainingRun, reported: RunResult) -> str:
    """Why a run was stopped. The trainer knows of the signal to stop only, not of the budget behind it."""
    ours = reason_to_stop(job) if reported.status == "stopped" else ""
    return ours or reported.stop_reason


def _ended(run: TrainingRun) -> TrainingRun:
    """A run that has its result already; another that has ended takes none."""
    if run.status in domain.ENDED and run.result:
        return run
    raise LeaseLost(f"run {run.uid} is {run.get_status_display().lower()}; its result is not taken")


def _result_check(run: TrainingRun, result: Any) -> RunResult:
    try:
        reported = RunResult.from_json(result)
    except ContractError as error:
        raise ValidationFailed(str(error), field="result") from error
    root = run.spec["snapshot"]["merkle_root"]
    if reported.run_id != str(run.uid) or reported.snapshot_root != root:
        raise ValidationFailed(
            f"the result is of run {reported.run_id} on snapshot {reported.snapshot_root}, not of {run.uid} on {root}",
            field="result",
        )
    if not 0 <= reported.steps < MAX_COUNT:
        raise ValidationFailed(f"the result says {reported.steps} steps; give 0 to {MAX_COUNT - 1}", field="result")
    return reported


def _evaluation_store(job: TrainingRun, reported: RunResult) -> None:
    """Keep the evaluation. One without two losses that are numbers is none, and the promotion rule says so."""
    found = reported.evaluation
    if not found or found.get("base_loss") is None or found.get("tuned_loss") is None:
        return
    try:
        fields: dict[str, Any] = {
            "split": str(found["split"]), "rows": int(found["rows"]), "tokens": int(found["tokens"]),
            "base_loss": float(found["base_loss"]), "tuned_loss": float(found["tuned_loss"]),
            "samples": list(found.get("samples") or [])[:MAX_SAMPLES],
        }
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValidationFailed(
            f"the evaluation cannot be read ({error!r}); see the contract", field="result"
        ) from error
    if fields["split"] not in SPLITS[1:]:
        raise ValidationFailed(
            f"the evaluation is of split {fields['split'][:40]!r}; use one of {', '.join(SPLITS[1:])}", field="result"
        )
    if not (0 <= fields["rows"] < MAX_COUNT and 0 <= fields["tokens"] < MAX_COUNT**2):
        raise ValidationFailed(
            f"the evaluation counts {fields['rows']} rows and {fields['tokens']} tokens", field="result"
        )
    if math.isfinite(fields["base_loss"]) and math.isfinite(fields["tuned_loss"]):
        Evaluation.objects.update_or_create(run=job, defaults=fields)


def _candidate(job: TrainingRun) -> ModelVersion | None:
    """The model that the run left, of the next generation of its project; None when it left none."""
    if not model_check(job):
        return None
    # Locked like a withdrawal locks it: either the walk finds this model, or the model is born in need of retraining.
    snapshot = Snapshot.objects.select_for_update().get(pk=job.snapshot_id)
    # Two runs that end at once queue on the project's row, so that each gets its own generation.
    project = Project.objects.select_for_update().get(pk=snapshot.project_id)
    newest = ModelVersion.objects.filter(project=project).aggregate(n=Max("generation"))["n"] or 0
    model, _ = ModelVersion.objects.get_or_create(run=job, defaults={
        "project": project, "generation": newest + 1,
        "name": domain.model_name(project.slug, project.pk, newest + 1), "status": _status_of_new(snapshot),
    })
    return model


def _status_of_new(snapshot: Snapshot) -> str:
    """A model of rows that were withdrawn while it trained is born in need of retraining."""
    tainted = snapshot.status == Snapshot.Status.TAINTED
    return ModelVersion.Status.RETRAIN_REQUIRED if tainted else ModelVersion.Status.CANDIDATE
