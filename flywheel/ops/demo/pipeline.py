"""One turn, station by station, each with a progress bar, ending in the figures of a report.

Everything is done by demo people through the apps' services; training and generating are the trainer's, over HTTP.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db import close_old_connections
from django.utils import timezone
from tqdm import tqdm

from annotation import services as annotation
from annotation.models import Project, Suggestion, Task
from annotation.selectors import suggestions_of
from flywheel.capture.models import Capture, Example
from flywheel.capture.services import process_captures
from flywheel.core.errors import Conflict
from flywheel.datasets.models import Snapshot
from flywheel.datasets.services import snapshot_request
from flywheel.ops.demo.datasets import Answer, Material
from flywheel.ops.prepare import person, project_ensure
from flywheel.runs import services as runs
from flywheel.runs.models import Device, ModelVersion, Recipe, SuggestionBatch, TrainingRun
from flywheel.stats.registry import stats_refresh
from flywheel.work.jobs import jobs_drain, jobs_sweep
from provenance.domain.gate import RULES

ENDED = ("done", "stopped", "cancelled", "failed")
SWEEP_EVERY = 5.0
UNREAD_SHOWN = 3


@dataclass
class Report:
    """The last line of the demo."""

    captured: int = 0
    duplicates: int = 0
    annotated: int = 0
    cleared: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    snapshot_root: str = ""
    splits: dict[str, int] = field(default_factory=dict)
    tokens: int = 0
    run_status: str = ""
    base_loss: float | None = None
    tuned_loss: float | None = None
    train_seconds: float = 0.0
    model: str = ""
    promoted: bool = False
    suggestions: int = 0


class DemoFailed(RuntimeError):
    """A station that did not end as it should; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Console:
    """How a turn speaks, apart from its report, and how it notices that web or trainer has died.

    `bar(**tqdm's options)` is a progress bar; `say` writes a line; `alive` raises RuntimeError.
    """

    bar: Callable[..., tqdm[Any]]
    say: Callable[[str], None]
    alive: Callable[[], None]


def turn(*, material: Material, planned: int, recipe_name: str, console: Console, report: Report) -> None:
    """Turn the wheel once with what `material` has planned, filling `report` as far as it comes. Raises DemoFailed."""
    for note in material.notes:
        console.say(note)
    _capture(material, planned, console, report)
    project = project_ensure(sources=material.sources)
    while annotation.tasks_make(project=project):
        pass
    _annotate(project, material, console, report)
    snapshot = _freeze(project, console, report)
    runs.defaults_ensure(by=person("admin"))
    run = _train(snapshot, recipe_name, console, report)
    if run.status == "done":
        _promote_and_suggest(run, console, report)
    # Pages show what was counted, and no worker runs here that would.
    stats_refresh(due_only=False)


def _capture(material: Material, planned: int, console: Console, report: Report) -> None:
    outcomes: Counter[str] = Counter()
    unread: list[str] = []
    with console.bar(desc="capture", unit=" conversations", total=planned) as progress:
        for outcome in material.capture(by=person("admin")):
            outcomes[outcome.status] += 1
            if outcome.reason:
                unread.append(f"line {outcome.line}: {outcome.reason}")
            progress.update()
    report.captured = outcomes["captured"]
    for line in unread[:UNREAD_SHOWN]:
        console.say(line)
    if unread:
        console.say(f"{len(unread)} of {outcomes.total()} conversations could not be read")
    with console.bar(desc="normalise, redact, group", unit=" conversations", total=report.captured) as progress:
        while done := process_captures(limit=50):
            progress.update(done)
    material.consent(by=person("steward"))
    _drain()
    dead = Capture.objects.filter(status=Capture.Status.DEAD).count()
    if dead:
        console.say(f"{dead} captures could not be processed and are kept as dead letters")
    report.duplicates = Example.objects.exclude(duplicate_of=None).count()


def _annotate(project: Project, material: Material, console: Console, report: Report) -> None:
    """Annotators answer all but the newest few, which are kept for the model's suggestions; a reviewer accepts."""
    total = Task.objects.filter(project=project).count()
    kept = min(8, max(2, total // 20))
    with console.bar(desc="annotate and review", unit=" tasks", total=max(total - kept, 0)) as progress:
        for _ in range(max(total - kept, 0)):
            assignment = annotation.task_next(project=project, user=person("annotator"))
            if assignment is None:
                break
            answer = material.answer(assignment.task.example)
            report.annotated += _answer(assignment, answer)
            progress.update()


def _answer(assignment: Any, answer: Answer) -> bool:
    if answer.skip:
        annotation.task_skip(assignment_id=assignment.pk, user=person("annotator"), reason=answer.skip)
        return False
    offered = suggestions_of(assignment.task.example)
    suggestion = next((one for one in offered if one.origin == Suggestion.Origin.AGENT), None)
    made = annotation.annotation_submit(
        assignment_id=assignment.pk, user=person("annotator"), suggestion_id=suggestion.pk if suggestion else None,
        result=[
            {"from_name": "reply", "to_name": "conversation", "type": "textarea", "value": {"text": [answer.reply]}},
            {"from_name": "quality", "to_name": "conversation", "type": "choices",
             "value": {"choices": [answer.quality]}},
        ],
    )
    annotation.review_settle(annotation_id=made.pk, reviewer=person("reviewer"), decision="accept")
    return True


def _freeze(project: Project, console: Console, report: Report) -> Snapshot:
    _drain()
    snapshot: Snapshot = snapshot_request(
        project=project, name=f"Demo {timezone.now():%Y-%m-%d %H:%M}", purpose="sft", region="EU", seed=7,
        shares={"validation": 0.1, "test": 0.15}, by=person("lead"), system_prompt="",
    )
    with console.bar(desc="gate and freeze", unit=" rows", total=report.annotated) as progress:
        _drain()
        snapshot.refresh_from_db()
        progress.update(snapshot.row_count)
    if snapshot.status != Snapshot.Status.FROZEN:
        raise DemoFailed(f"the snapshot is {snapshot.status}: {snapshot.error or 'no reason given'}")
    report.cleared, report.refused = snapshot.row_count, dict(snapshot.refused_counts)
    report.snapshot_root, report.splits = snapshot.merkle_root, dict(snapshot.split_counts)
    _judged(snapshot, console)
    return snapshot


def _judged(snapshot: Snapshot, console: Console) -> None:
    """Say what the gate refused and asks for. Raises DemoFailed when too little is left to train and test on."""
    refused = [f"{RULES.get(rule, rule)} ({count})" for rule, count in snapshot.refused_counts.items()]
    if refused:
        console.say(f"the gate refused {snapshot.refused_total}: {', '.join(refused)}")
    if snapshot.share_alike:
        licences = ", ".join(sorted(snapshot.manifest["licenses"]))
        console.say(
            f"share-alike ({licences}): training is allowed and the snapshot is marked; "
            f"what is derived from it carries the same terms"
        )
    if not (snapshot.split_counts.get("train") and snapshot.split_counts.get("test")):
        raise DemoFailed(f"the gate cleared {snapshot.row_count} examples, too few to train and to test on")


def _train(snapshot: Snapshot, recipe_name: str, console: Console, report: Report) -> TrainingRun:
    run = runs.run_request(
        snapshot=snapshot, recipe=Recipe.objects.get(name=recipe_name), device=Device.objects.get(default=True),
        by=person("lead"), name="Demo run",
    )
    estimate = run.estimate
    console.say(
        f"estimate: {float(estimate['seconds_low']):.0f} to {float(estimate['seconds_high']):.0f} s, "
        f"{float(estimate['cost_low']):.4f} to {float(estimate['cost_high']):.4f} {estimate['currency']}"
    )
    runs.run_approve(run=run, by=person("admin"))
    with console.bar(desc="train and evaluate", unit=" steps") as progress:

        def show() -> None:
            progress.total = run.total_steps or None
            progress.update(run.step - progress.n)

        _wait(run, show, console.alive)
    report.run_status = run.status
    result = run.result or {}
    report.tokens = int(result.get("tokens", {}).get("kept", 0))
    report.train_seconds = round(float(result.get("train_seconds", 0.0)), 1)
    evaluation = getattr(run, "evaluation", None)
    if evaluation is not None:
        report.base_loss, report.tuned_loss = round(evaluation.base_loss, 4), round(evaluation.tuned_loss, 4)
    if run.status == "failed":
        raise DemoFailed(f"the run failed: {run.error}")
    return run


def _promote_and_suggest(run: TrainingRun, console: Console, report: Report) -> None:
    model = ModelVersion.objects.get(run=run)
    report.model = model.name
    try:
        model = runs.model_promote(model=model, by=person("admin"))
    except Conflict as refusal:
        console.say(f"not promoted: {refusal.message}")
        return
    report.promoted = model.status == ModelVersion.Status.CHAMPION
    batch = runs.suggestions_publish(model=model, by=person("admin"))
    if batch is None:
        return
    with console.bar(desc="suggest", unit=" tasks") as progress:

        def show() -> None:
            progress.total = batch.total or None
            progress.update(batch.done - progress.n)

        _wait(batch, show, console.alive)
    report.suggestions = Suggestion.objects.filter(origin=Suggestion.Origin.MODEL, origin_name=model.name).count()
    if batch.status != "done":
        raise DemoFailed(f"the batch of suggestions is {batch.status}: {batch.error or 'no reason given'}")


def _wait(job: TrainingRun | SuggestionBatch, show: Callable[[], None], alive: Callable[[], None]) -> None:
    """Play the worker until the job has ended. Raises RuntimeError when a process that it needs has died."""
    swept = time.monotonic()
    while True:
        _drain()
        if time.monotonic() - swept > SWEEP_EVERY:
            runs.remote_jobs_sweep()
            jobs_sweep()
            swept = time.monotonic()
        close_old_connections()
        job.refresh_from_db()
        show()
        if job.status in ENDED:
            return
        alive()
        time.sleep(0.3)


def _drain() -> None:
    while jobs_drain():
        pass


