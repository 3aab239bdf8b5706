"""The walk after a withdrawal of consent: from runs down to examples, and the receipt of what it reached.

The gate blocks since the withdrawal's own commit. Every step here may be killed and run again: what it reached before
it reports again and does not change again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from annotation.services import suggestions_withdraw, tasks_withdraw
from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.capture.models import Example
from flywheel.core.actors import SystemActor
from flywheel.core.batching import batched
from flywheel.core.errors import Conflict, NotFound, ValidationFailed
from flywheel.core.models import User
from flywheel.core.permissions import require
from flywheel.core.text import plain_text
from flywheel.datasets.services import snapshots_withdraw
from flywheel.runs import domain
from flywheel.runs.models import ModelVersion, RemoteJob, SuggestionBatch, TrainingRun
from flywheel.runs.services.remote_jobs import remote_job_cancel
from provenance.models import ProvenanceRecord, Withdrawal
from provenance.selectors import records_of_subjects, records_refused, records_spent
from provenance.services import withdrawal_complete, withdrawal_receipt_add

ACTOR = SystemActor("withdrawal")
TAINTED = "consent to rows of its snapshot was withdrawn"
WALK_STEPS = 9
"""Steps of one walk, for its progress."""


def withdrawal_walk(*, withdrawal_uid: str, heartbeat: Callable[[int], None] = lambda done: None) -> Withdrawal:
    """Reach everything derived from a person's data and write the receipt. A finished walk changes nothing.

    `heartbeat` is called with the number of steps done, so that the job that runs the walk keeps its claim. Raises
    NotFound.
    """
    withdrawal = Withdrawal.objects.filter(uid=withdrawal_uid).first()
    if withdrawal is None:
        raise NotFound(f"withdrawal {withdrawal_uid} does not exist")
    if withdrawal.completed_at is not None:
        return withdrawal
    records = sorted(set(records_of_subjects([withdrawal.subject_id])))
    for done, (section, reach) in enumerate(_steps(records, withdrawal.purposes), 1):
        withdrawal_receipt_add(withdrawal_uid=str(withdrawal.uid), section=section, data=reach())
        heartbeat(done)
    return withdrawal_complete(withdrawal_uid=str(withdrawal.uid))


def late_records_withdraw(*, record_ids: Sequence[int], heartbeat: Callable[[], None] = lambda: None) -> None:
    """Walk records that arrived, or came to name a person, after that person's withdrawal. Twice is the same as once.

    The person's own withdrawal has its receipt already; what is reached here is written to the ledger.
    """
    alike: dict[tuple[str, ...], list[int]] = {}
    for record, purposes in records_refused(record_ids).items():
        alike.setdefault(tuple(sorted(purposes)), []).append(record)
    for refused, records in alike.items():
        for _, reach in _steps(records, refused):
            reach()
            heartbeat()


def _steps(records: list[int], purposes: Sequence[str]) -> Iterable[tuple[str, Callable[[], dict[str, Any]]]]:
    spent = records_spent(records)
    models: list[str] = []

    def reach_models() -> dict[str, Any]:
        models[:] = models_withdraw(records, purposes=purposes)
        return {"models": models}

    def reach_runs() -> dict[str, Any]:
        return {"runs": runs_withdraw(records, purposes=purposes)}

    yield "records", lambda: {"records": _record_names(records)}
    yield "runs", reach_runs
    yield "models", reach_models
    yield "snapshots", lambda: snapshots_withdraw(records, purposes=purposes, by=ACTOR).to_json()
    # Once more: a run that was requested, or a model that was finished, just before its snapshot was tainted.
    yield "runs", reach_runs
    yield "models", reach_models
    yield "suggestions", lambda: {
        "suggestions": suggestions_withdraw(model_names=models, record_ids=spent, actor=ACTOR)
    }
    yield "tasks", lambda: tasks_withdraw(record_ids=spent, actor=ACTOR).receipt()
    yield "examples", lambda: {"examples": examples_withdraw(spent)}


def _record_names(records: list[int]) -> list[str]:
    rows = (r for batch in batched(records) for r in ProvenanceRecord.objects.filter(pk__in=batch).order_by("pk"))
    return [str(record) for record in rows]


def runs_withdraw(record_ids: Iterable[int], *, purposes: Sequence[str] | None = None) -> list[str]:
    """Stop every run on a snapshot that holds one of these records. Returns all runs on such snapshots."""
    reached: dict[str, None] = {}
    for batch in batched(record_ids):
        for run in _on_snapshots(TrainingRun.objects.all(), "snapshot", batch, purposes):
            reached[str(run.uid)] = None
            if run.status not in domain.ENDED:
                _cancel(run)
    return list(reached)


def models_withdraw(record_ids: Iterable[int], *, purposes: Sequence[str] | None = None) -> list[str]:
    """Mark every model trained on one of these records as in need of retraining. Returns their names.

    A champion stops being one, and its batches are cancelled.
    """
    reached: dict[str, None] = {}
    for batch in batched(record_ids):
        for model in _on_snapshots(ModelVersion.objects.all(), "run__snapshot", batch, purposes):
            reached[model.name] = None
            _model_withdraw(model)
    return list(reached)


def _on_snapshots(rows: QuerySet[Any], path: str, records: list[int], purposes: Sequence[str] | None) -> QuerySet[Any]:
    held = Q(**{f"{path}__rows__record_id__in": records})
    if purposes is not None:
        held &= Q(**{f"{path}__purpose__in": list(purposes)})
    return rows.filter(held).distinct().order_by("id")


def _model_withdraw(model: ModelVersion) -> None:
    with transaction.atomic():
        changed = (
            ModelVersion.objects.filter(pk=model.pk)
            .exclude(status=ModelVersion.Status.RETRAIN_REQUIRED)
            .update(status=ModelVersion.Status.RETRAIN_REQUIRED)
        )
        if changed:
            ledger_append(
                actor=ACTOR, action=Action.MODEL_RETRAIN_REQUIRED, object=f"model:{model.name}",
                touched={"model": [model.pk]},
                payload={
                    "was": model.status, "reason": TAINTED,
                },
            )
    for batch in SuggestionBatch.objects.filter(model=model).exclude(status__in=domain.ENDED):
        _cancel(batch)


def model_decide(*, model: ModelVersion, decision: str, reason: str, by: User) -> ModelVersion:
    """Record what becomes of a model that was taught by withdrawn rows: retrain, retire, or documented anonymity.

    It stays in need of retraining whatever is decided: nothing here makes it clean. A later decision replaces this
    one, and both are in the ledger. Raises Forbidden, ValidationFailed, and Conflict for a model without withdrawn
    rows.
    """
    require("model.decide", by, model)
    if decision not in ModelVersion.Decision.values:
        known = ", ".join(ModelVersion.Decision.values)
        raise ValidationFailed(f"decision {decision[:40]!r} is not known; use one of {known}", field="decision")
    reason = plain_text(reason).strip()
    if problem := domain.override_problem(reason, "a decision"):
        raise ValidationFailed(problem, field="reason")
    with transaction.atomic():
        locked = ModelVersion.objects.select_for_update().get(pk=model.pk)
        if locked.status != ModelVersion.Status.RETRAIN_REQUIRED:
            raise Conflict(f"model {locked.name} was trained on no withdrawn rows; there is nothing to decide")
        locked.decision, locked.decision_reason = decision, reason
        locked.decided_by, locked.decided_at = by, timezone.now()
        locked.save(update_fields=["decision", "decision_reason", "decided_by", "decided_at"])
        ledger_append(
            actor=by, action=Action.MODEL_DECIDE, object=f"model:{locked.name}",
            touched={"model": [locked.pk]},
            payload={
                "decision": decision, "reason": locked.decision_reason,
            },
        )
    return locked


def examples_withdraw(record_ids: Sequence[int]) -> list[str]:
    """Mark the examples of these records as withdrawn: no task, prompt or snapshot takes them up again."""
    reached: list[str] = []
    for batch in batched(record_ids):
        examples = Example.objects.filter(provenance_id__in=batch).order_by("pk")
        reached += [str(uid) for uid in examples.values_list("uid", flat=True)]
        with transaction.atomic():
            active = list(examples.filter(status=Example.Status.ACTIVE).values_list("pk", flat=True))
            if active:
                Example.objects.filter(pk__in=active).update(status=Example.Status.WITHDRAWN)
                ledger_append(
                    actor=ACTOR, action=Action.EXAMPLE_WITHDRAW, object="examples",
                    touched={"example": active},
                    payload={"examples": active},
                )
    return reached


def _cancel(job: RemoteJob) -> None:
    try:
        remote_job_cancel(job=job, by=ACTOR, reason=TAINTED)
    except Conflict:
        return  # It ended meanwhile; a model that it left is found by the next step of the walk.
