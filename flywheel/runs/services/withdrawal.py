"""What a withdrawal of consent reaches in runs, models and their suggestions.

Each function may run any number of times: what it reached before it reports again and does not change again.
The walk through the lower apps is in `walk`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from django.db import transaction
from django.utils import timezone

from flywheel.capture.models import Suggestion
from flywheel.core.errors import Conflict
from flywheel.runs import domain
from flywheel.runs.models import ModelVersion, SuggestionBatch, TrainingRun
from flywheel.runs.services.leases import run_cancel
from provenance.ledger import ledger_append

ACTOR = "withdrawal"
CHUNK = 500
REASON = "consent to rows of its snapshot was withdrawn"


def runs_withdraw(record_ids: Sequence[int]) -> list[str]:
    """Stop every run on a snapshot that holds one of these records. Returns all runs on such snapshots."""
    reached: dict[str, None] = {}
    for chunk in _chunks(record_ids):
        runs = TrainingRun.objects.filter(snapshot__rows__record_id__in=chunk).distinct().order_by("id")
        for run in runs:
            reached[str(run.uid)] = None
            if run.status not in domain.ENDED:
                _cancel(run)
    return list(reached)


def models_withdraw(record_ids: Sequence[int]) -> list[str]:
    """Mark every model trained on one of these records as in need of retraining. Returns their names.

    A champion stops being one: its batches are cancelled and its suggestions taken back.
    """
    reached: dict[str, None] = {}
    for chunk in _chunks(record_ids):
        models = ModelVersion.objects.filter(run__snapshot__rows__record_id__in=chunk).distinct().order_by("id")
        for model in models:
            reached[model.name] = None
            _model_withdraw(model)
    return list(reached)


def _model_withdraw(model: ModelVersion) -> None:
    with transaction.atomic():
        changed = (
            ModelVersion.objects.filter(pk=model.pk)
            .exclude(status=ModelVersion.Status.RETRAIN_REQUIRED)
            .update(status=ModelVersion.Status.RETRAIN_REQUIRED)
        )
        if changed:
            ledger_append(actor=ACTOR, action="model.retrain_required", object=f"model:{model.name}", payload={
                "was": model.status, "reason": REASON,
            })
    for batch in SuggestionBatch.objects.filter(model=model).exclude(status__in=domain.ENDED):
        _cancel(batch)


def suggestions_withdraw(model_names: Sequence[str]) -> int:
    """Take back every suggestion that these models made. Returns how many there are."""
    for name in model_names:
        while taken := _suggestions_take(name):
            with transaction.atomic():
                Suggestion.objects.filter(pk__in=taken, withdrawn_at=None).update(withdrawn_at=timezone.now())
                ledger_append(actor=ACTOR, action="suggestion.withdraw", object=f"model:{name}", payload={
                    "suggestions": taken,
                })
    return Suggestion.objects.filter(
        origin=Suggestion.Origin.MODEL, origin_name__in=list(model_names), withdrawn_at__isnull=False
    ).count()


def _suggestions_take(name: str) -> list[int]:
    rows = Suggestion.objects.filter(origin=Suggestion.Origin.MODEL, origin_name=name, withdrawn_at=None)
    return list(rows.order_by("pk").values_list("pk", flat=True)[:CHUNK])


def _cancel(job: TrainingRun | SuggestionBatch) -> None:
    try:
        run_cancel(run=job, by=ACTOR, reason=REASON)
    except Conflict:
        return  # It ended meanwhile; a model that it left is found by the next step of the walk.


def _chunks(ids: Sequence[int]) -> Iterator[list[int]]:
    iterator = iter(ids)
    while chunk := list(itertools.islice(iterator, CHUNK)):
        yield chunk
