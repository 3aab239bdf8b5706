"""Suggestions: the agent's own replies when tasks are made, models' replies when a batch ends, and their withdrawal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from annotation.models import AGENT, Suggestion
from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.core.actors import Actor
from flywheel.core.batching import batched

CHUNK = 500


def agent_suggestions_ensure(*, example_ids: Iterable[int]) -> None:
    """Let each of these examples have its agent's suggestion, in the caller's transaction. Idempotent.

    An example without a reply gets one too, because a newer delivery may bring the reply; until then it is not shown.
    """
    # Two projects may make tasks of the same examples at the same time, and the second insert must not fail.
    Suggestion.objects.bulk_create(
        [Suggestion(example_id=pk, origin=Suggestion.Origin.AGENT, origin_name=AGENT) for pk in example_ids],
        ignore_conflicts=True, batch_size=1000,
    )


def model_suggestions_add(*, model_name: str, texts: Mapping[int, str]) -> None:
    """Store a model's replies by the example's key, in the caller's transaction. An earlier reply of it stays."""
    Suggestion.objects.bulk_create(
        [
            Suggestion(example_id=pk, origin=Suggestion.Origin.MODEL, origin_name=model_name, text=text)
            for pk, text in texts.items()
        ],
        ignore_conflicts=True,
    )


def suggestions_withdraw(*, model_names: Sequence[str], record_ids: Sequence[int], actor: Actor) -> int:
    """Withdraw suggestions that these models made, and any on these records' examples. Returns how many there are."""
    reached = 0
    for name in model_names:
        made = Suggestion.objects.filter(origin=Suggestion.Origin.MODEL, origin_name=name)
        _suggestions_mark_withdrawn(made, f"model:{name}", actor)
        reached += made.count()
    for batch in batched(record_ids):
        held = Suggestion.objects.filter(example__provenance_id__in=batch)
        _suggestions_mark_withdrawn(held, "examples", actor)
        reached += held.exclude(origin=Suggestion.Origin.MODEL, origin_name__in=model_names).count()
    return reached


def _suggestions_mark_withdrawn(rows: QuerySet[Suggestion], of: str, actor: Actor) -> None:
    # One transaction per chunk, because every other change in the installation waits for the ledger's head meanwhile.
    while found := list(rows.filter(withdrawn_at=None).order_by("pk").values_list("pk", "example_id")[:CHUNK]):
        taken = [pk for pk, _ in found]
        with transaction.atomic():
            Suggestion.objects.filter(pk__in=taken, withdrawn_at=None).update(withdrawn_at=timezone.now())
            ledger_append(
                actor=actor, action=Action.SUGGESTION_WITHDRAW, object=of,
                touched={"example": [example for _, example in found]},
                payload={"suggestions": taken},
            )
