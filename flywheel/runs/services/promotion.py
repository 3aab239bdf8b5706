"""Promoting a model to champion of its project: by the rule, or over it with a written reason."""

from __future__ import annotations

from contextlib import suppress

from django.db import transaction
from django.utils import timezone

from annotation.models import Project
from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.core.actors import SystemActor
from flywheel.core.errors import Conflict, ValidationFailed
from flywheel.core.models import User
from flywheel.core.permissions import require
from flywheel.core.text import plain_text
from flywheel.datasets.models import Snapshot
from flywheel.runs import domain, selectors
from flywheel.runs.models import ModelVersion
from flywheel.runs.services.remote_jobs import remote_job_cancel

Status = ModelVersion.Status


def model_promote(*, model: ModelVersion, by: User, override_reason: str = "") -> ModelVersion:
    """Make a model the one champion of its project; the one before is retired. Promoting the champion changes nothing.

    Raises Conflict when the rule says no and no reason is given, or when the model rests on withdrawn rows, which
    no reason overrides; ValidationFailed for a reason too short to be one; Forbidden without the permission
    "model.promote".
    """
    require("model.promote", by, model)
    reason = plain_text(override_reason).strip()
    if reason and (problem := domain.override_problem(reason)):
        raise ValidationFailed(problem, field="override_reason")
    with transaction.atomic():
        # Two promotions queue on the project's row; the constraint on champions would catch what slipped past it.
        Project.objects.select_for_update().get(pk=model.project_id)
        # A withdrawal that comes in between waits for this row, and then takes the champion back.
        ModelVersion.objects.select_for_update().get(pk=model.pk)
        model = selectors.model_get(model.name)
        if model.status == Status.CHAMPION:
            return model
        verdict = selectors.verdict_of(model)
        _may_be_promoted(model, verdict, reason)
        before = ModelVersion.objects.filter(project=model.project_id, status=Status.CHAMPION).first()
        if before is not None:
            ModelVersion.objects.filter(pk=before.pk).update(status=Status.RETIRED)
            _batches_end(before, model)
        model.status, model.promoted_by, model.promoted_at = Status.CHAMPION, by, timezone.now()
        model.override_reason = "" if verdict.passes else reason
        model.save(update_fields=["status", "promoted_by", "promoted_at", "override_reason"])
        ledger_append(
            actor=by, action=Action.MODEL_PROMOTE, object=f"model:{model.name}",
            touched={"model": [model.pk, before.pk if before else None]},
            payload={
                "rule": verdict.sentence, "passes": verdict.passes, "override_reason": model.override_reason,
                "retired": before.name if before else "",
            },
        )
    return model


def _batches_end(before: ModelVersion, champion: ModelVersion) -> None:
    """Cancel the previous champion's pending batches of suggestions."""
    for batch in before.batches.exclude(status__in=domain.ENDED).order_by("pk"):
        # It may have ended meanwhile.
        with suppress(Conflict):
            remote_job_cancel(job=batch, by=SystemActor("promotion"), reason=f"{champion.name} is champion now")


def _may_be_promoted(model: ModelVersion, verdict: domain.PromotionVerdict, reason: str) -> None:
    if model.status == Status.RETRAIN_REQUIRED or model.run.snapshot.status == Snapshot.Status.TAINTED:
        raise Conflict(
            f"model {model.name} was trained on rows that were withdrawn since; train again on a new snapshot "
            "(no reason overrides this)"
        )
    if not verdict.passes and not reason:
        raise Conflict(f"{verdict.sentence} {domain.RULE} To promote it all the same, give a written reason.")
