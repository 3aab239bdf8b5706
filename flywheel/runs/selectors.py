"""Reading what runs, models and budgets are based on: workloads, past runs, lineage. Changes are left to services.

Every query is bounded or goes through an index; nothing here grows with the number of tasks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Max, QuerySet, Sum
from django.utils import timezone

from annotation.domain.suggestions import Acceptance
from annotation.stats import acceptances_of as origin_acceptances
from flywheel.core.errors import NotFound
from flywheel.core.json_values import finite
from flywheel.core.text import whole_number
from flywheel.datasets.models import Snapshot, SnapshotRow
from flywheel.runs import domain
from flywheel.runs.models import Budget, Device, ModelVersion, Recipe, RunEvent, SuggestionBatch, TrainingRun
from training.contract import RunSpec, TextFigures

REVISION_FILE = "revision.json"
MOST_REVISION_BYTES = 1024 * 1024
"""What the trainer keeps beside a base model's files, and how much of it is read."""

PAST_RUNS = 5
CURVE_POINTS = 2000


def model_get(name: str) -> ModelVersion:
    """A model by name or number. Raises NotFound."""
    models = ModelVersion.objects.select_related("project", "run__snapshot", "run__recipe", "run__device")
    found = models.filter(name=name).first()
    if found is None and (number := whole_number(name)) is not None:
        found = models.filter(pk=number).first()
    if found is None:
        raise NotFound(f"model {name!r} does not exist")
    return found


def month_of(day: date | None = None) -> date:
    """The first day of a day's month; None is today, where the installation's budgets are kept."""
    return (day or timezone.localdate(timezone=settings.FLYWHEEL["BUDGET_TIME_ZONE"])).replace(day=1)


def budget_now() -> Budget | None:
    """This month's budget, None when none is set."""
    return Budget.objects.filter(month=month_of()).first()


def batches_of_month(month: date) -> dict[str, Any]:
    """What batches of suggestions took of a month's budget: {count, cost, currency}."""
    booked = SuggestionBatch.objects.filter(budget__month=month).order_by()
    return booked.aggregate(count=Count("pk"), cost=Sum("cost"), currency=Max("budget__currency"))


def figures_of(base_model: str) -> TextFigures:
    """What the trainer measured of a base model's tokenizer, where the model lies on this machine; else the usual."""
    try:
        folder = Path(base_model) if Path(base_model).is_dir() else Path(settings.FLYWHEEL["MODELS_DIR"]) / base_model
        with (folder / REVISION_FILE).open("rb") as file:
            written = json.loads(file.read(MOST_REVISION_BYTES))
        found = TextFigures.from_json(written.get("text"))
    except (OSError, ValueError, AttributeError, RecursionError):
        found = None
    return found or TextFigures()


def tokens_of(snapshot: Snapshot, split: str, figures: TextFigures, spec: RunSpec) -> int:
    """Tokens of a split, estimated from the manifest's counts and the base model's tokenizer statistics."""
    rows = int(snapshot.split_counts.get(split, 0))
    counts = snapshot.manifest["token_statistics"]["splits"][split]
    tokens = figures.tokens(
        rows=rows, messages=counts["messages"], characters=counts["characters"], method=spec.method,
        system=bool(snapshot.system_prompt),
    )
    # A conversation is cut to what a sequence holds; plain text is cut into pieces.
    return tokens if spec.method != "sft" else min(tokens, rows * spec.hyperparameters.max_length)


def workload_of(snapshot: Snapshot, recipe: Recipe, spec: RunSpec) -> domain.Workload:
    """What a run of this specification has to do."""
    h, plan = spec.hyperparameters, spec.evaluation
    figures = figures_of(spec.base_model)
    rows = int(snapshot.split_counts.get("train", 0))
    tokens = tokens_of(snapshot, "train", figures, spec)
    test_rows = int(snapshot.split_counts.get(plan.split, 0))
    measured = min(test_rows, plan.max_rows)
    per_sequence = h.max_length if h.packing else min(h.max_length, tokens // max(rows, 1) or 1)
    return domain.Workload(
        tokens_per_epoch=tokens, epochs=h.epochs, parameters=recipe.base_parameters, layers=recipe.base_layers,
        width=recipe.base_width, max_length=h.max_length, tuning=recipe.tuning,
        batch_tokens=h.batch_size * h.gradient_accumulation * per_sequence, checkpoint_every=h.checkpoint_every,
        evaluation_tokens=tokens_of(snapshot, plan.split, figures, spec) * measured // max(test_rows, 1),
        generated_tokens=min(plan.generate_rows, measured) * plan.max_new_tokens, max_steps=spec.limits.max_steps,
        figures=figures,
    )


def rate_of(device: Device) -> domain.Rate:
    """A device as the estimate sees it."""
    return domain.Rate(
        peak_gflops=device.peak_gflops, price_per_hour=device.price_per_hour, currency=device.currency,
        mfu_low=device.mfu_low, mfu_high=device.mfu_high, step_seconds=device.step_seconds,
        load_seconds=device.load_seconds,
    )


def past_runs(recipe: Recipe, device: Device) -> list[domain.PastRun]:
    """The newest finished runs of this recipe on this device, as the estimate sees them."""
    done = TrainingRun.objects.filter(recipe=recipe, device=device, status=TrainingRun.Status.DONE)
    runs = done.select_related("snapshot", "recipe").order_by("-pk")
    return [past for run in runs[:PAST_RUNS] if (past := _past(run)) is not None]


def _past(run: TrainingRun) -> domain.PastRun | None:
    speed = finite((run.result.get("speed") or {}).get("real_tokens_per_s")) or 0
    seconds = finite(run.result.get("train_seconds")) or 0
    if speed <= 0:
        return None
    trained = finite((run.result.get("tokens") or {}).get("trained")) or 0
    stepping = trained / speed if trained else seconds
    work = workload_of(run.snapshot, run.recipe, RunSpec.from_json(run.spec))
    # The same counting that the estimate does: how far off it was is a matter of tokenizer and packing, not of chance.
    return domain.PastRun(
        tokens_per_second=speed, overhead_seconds=max(run.seconds - stepping, 0.0),
        tokens_ratio=_ratio(trained, work.tokens), steps_ratio=_ratio(finite(run.result.get("steps")) or 0, work.steps),
    )


def _ratio(actual: float, counted: int) -> float:
    return actual / counted if actual > 0 and counted > 0 else 1.0


def last_ratio(device: Device) -> float | None:
    """Actual over estimated time of the newest finished run on a device: how far off the last estimate was."""
    run = TrainingRun.objects.filter(device=device, status=TrainingRun.Status.DONE).order_by("-pk").first()
    return None if run is None else ratio_of(run)


def ratio_of(run: TrainingRun) -> float | None:
    """Actual over the middle of the estimated time of a run."""
    if run.status not in (TrainingRun.Status.DONE, TrainingRun.Status.STOPPED):
        return None
    return domain.estimate_error(
        float(run.estimate.get("seconds_low") or 0), float(run.estimate.get("seconds_high") or 0), run.seconds
    )


def events_after(run: TrainingRun, seq: int, *, limit: int = CURVE_POINTS) -> list[RunEvent]:
    """Events of a run with a higher number, oldest first, at most `limit`."""
    return list(run.events.filter(seq__gt=seq).order_by("seq")[:limit])


def rows_of(model: ModelVersion) -> QuerySet[SnapshotRow]:
    """The examples a model was trained and measured on."""
    return SnapshotRow.objects.filter(snapshot=model.run.snapshot).select_related("example__source")


LATEST_MESSAGES = 3
"""How many messages of a sample are shown above the replies to it."""

SPEAKERS = {"user": "customer", "assistant": "agent", "system": "note"}
"""A training row's roles, by the word that pages use for them."""


def samples_of(run: TrainingRun) -> list[dict[str, Any]]:
    """A run's samples for a page: `latest` messages of role and text, `earlier` ones to unfold, `base_reply`,
    `tuned_reply`, `reference`.

    What a trainer sent in any other shape is shown as text and never breaks the page. A run without an evaluation has
    no samples.
    """
    evaluation = getattr(run, "evaluation", None)
    samples = evaluation.samples if evaluation is not None else []
    return [
        _conversation_shown(sample.get("prompt"))
        | {key: str(sample.get(key) or "") for key in ("base_reply", "tuned_reply", "reference")}
        for sample in samples if isinstance(sample, dict)
    ]


def _conversation_shown(prompt: Any) -> dict[str, Any]:
    """The end of a conversation is what the replies answer: it is always in sight, what came before it unfolds."""
    turns = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
    messages = [
        {"role": SPEAKERS.get(str(turn.get("role")), "customer"), "text": str(turn.get("content") or "")}
        for turn in turns if isinstance(turn, dict)
    ]
    return {"earlier": messages[:-LATEST_MESSAGES], "latest": messages[-LATEST_MESSAGES:]}


def verdict_of(model: ModelVersion) -> domain.PromotionVerdict:
    """What the promotion rule says of a model."""
    evaluation = getattr(model.run, "evaluation", None)
    if evaluation is None:
        return domain.promotion_rule(split=None, rows=0, tokens=0, base_loss=None, tuned_loss=None)
    return domain.promotion_rule(
        split=evaluation.split, rows=evaluation.rows, tokens=evaluation.tokens, base_loss=evaluation.base_loss,
        tuned_loss=evaluation.tuned_loss,
    )


def acceptances_of(models: Iterable[ModelVersion]) -> dict[int, Acceptance]:
    """What became of each model's suggestions, by the model's key: one bounded read."""
    names = {model.name: model.pk for model in models}
    return {names[name]: acceptance for name, acceptance in origin_acceptances(names).items()}


def spec_fields(recipe: Recipe) -> dict[str, Any]:
    """A recipe's part of a RunSpec."""
    return {
        "base_model": recipe.base_model, "base_revision": recipe.base_revision, "method": recipe.method,
        "tuning": recipe.tuning, "hyperparameters": dict(recipe.hyperparameters),
        "evaluation": dict(recipe.evaluation),
    }


def snapshots_holding(subject: UUID) -> QuerySet[SnapshotRow, Any]:
    """Keys of the snapshots that hold rows of one person, for use in a filter."""
    return SnapshotRow.objects.filter(record__subjects__uid=subject).order_by().values("snapshot")
