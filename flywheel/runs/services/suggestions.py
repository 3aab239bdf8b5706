"""The champion's suggestions onto unannotated tasks: batches, their prompts, their results.

A batch covers a bounded number of tasks in the order of their ids; the next goes on where it ended, so that tasks
made later get theirs too. What annotators do with suggestions is annotation's.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation.models import Suggestion, Task
from annotation.services import model_suggestions_add
from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.capture.models import Example
from flywheel.core.actors import SYSTEM, Actor, person_of
from flywheel.core.batching import batched
from flywheel.core.errors import Conflict, ValidationFailed
from flywheel.core.permissions import require
from flywheel.core.text import plain_lines
from flywheel.runs import domain, selectors
from flywheel.runs.models import Device, ModelVersion, SuggestionBatch
from flywheel.runs.services import budget_ledger
from flywheel.runs.services.artifacts import stored_open
from flywheel.runs.services.leases import LeaseLost, job_finish, job_locked, lease_check, trainer_of
from flywheel.work.jobs import job_enqueue
from flywheel.work.models import Job
from training.contract import GenerateSpec
from training.contract.snapshot import messages_build

log = logging.getLogger(__name__)
Status = Job.Status
PROMPT_TOKENS = 300
"""Assumed length of a prompt, for setting money aside."""

CHUNK = 200
MAX_TEXT = 20_000


def batch_size() -> int:
    """How many tasks one batch looks at."""
    return int(settings.FLYWHEEL.get("SUGGESTION_BATCH", 500))


def suggestions_publish(*, model: ModelVersion, by: Actor, limit: int | None = None) -> SuggestionBatch | None:
    """Queue the champion's suggestions onto the next open, unannotated tasks that have none from it.

    Returns the batch, the active one if there is one, or None when no task waits. Raises Forbidden, and Conflict
    for a model that is not champion or a budget that is used up.
    """
    require("suggestions.publish", by, model.project)
    model = selectors.model_get(model.name)
    if model.status != ModelVersion.Status.CHAMPION:
        raise Conflict(f"model {model.name} is {model.get_status_display().lower()}; only the champion suggests")
    if (active := _batch_active(model)) is not None:
        return active
    after = _looked_at(model)
    task_ids = list(_tasks(model, after).values_list("pk", flat=True)[: limit or batch_size()])
    if not task_ids:
        return None
    device = model.run.device
    batch = SuggestionBatch(
        # One batch at a time per model, by the constraint on jobs' keys.
        kind="suggestions", visible=True, dedupe_key=f"model:{model.pk}", title=f"Suggestions of {model.name}",
        unit="tasks", requested_by=person_of(by), total=len(task_ids), model=model, device=device,
        after_task_id=after, last_task_id=task_ids[-1],
    )
    batch.object_ref = f"suggestions:{batch.uid}"
    try:
        with transaction.atomic():
            job_enqueue(batch)
            budget_ledger.reserve(batch, budget_ledger.budget_locked(device), _reservation(batch, model, device))
            batch.save(force_insert=True)
            ledger_append(
                actor=by, action=Action.SUGGESTIONS_PUBLISH, object=f"suggestions:{batch.uid}",
                touched={"suggestions": [batch.pk], "model": [model.pk]},
                payload={
                    "model": model.name, "tasks": len(task_ids), "after_task": after, "last_task": batch.last_task_id,
                },
            )
    except IntegrityError:
        # Lost the race: another batch of this model exists already.
        return _batch_active(model)
    return batch


def suggestions_continue() -> int:
    """Publish on where a champion's last batch ended, for tasks that came since. Returns how many batches were made."""
    made = 0
    champions = ModelVersion.objects.filter(status=ModelVersion.Status.CHAMPION, batches__status=Status.DONE)
    for model in champions.distinct().select_related("run__device"):
        try:
            made += _batch_active(model) is None and suggestions_publish(model=model, by=SYSTEM) is not None
        except Conflict as error:
            log.info("no further suggestions of %s: %s", model.name, error)
    return made


def _batch_active(model: ModelVersion) -> SuggestionBatch | None:
    return model.batches.exclude(status__in=domain.ENDED).first()


def _looked_at(model: ModelVersion) -> int:
    last = model.batches.filter(status=Status.DONE).order_by("-last_task_id").first()
    return last.last_task_id if last else 0


def _tasks(model: ModelVersion, after: int, upto: int | None = None) -> Any:
    tasks = Task.objects.filter(
        project=model.project_id, state=Task.State.OPEN, submitted_count=0, pk__gt=after,
        example__status=Example.Status.ACTIVE,
    ).order_by("pk")
    return tasks if upto is None else tasks.filter(pk__lte=upto)


def _reservation(batch: SuggestionBatch, model: ModelVersion, device: Device) -> Decimal:
    """Prompts at a training pass's share of the peak, answers at generation's, twice that, five minutes at least."""
    count, parameters, peak = batch.total or 0, model.run.recipe.base_parameters, device.peak_gflops * 1e9
    prompts = 2.0 * parameters * count * PROMPT_TOKENS / (device.mfu_low * peak)
    answers = 2.0 * parameters * count * _new_tokens(model) / (domain.GENERATION_SHARE * peak)
    seconds = max(2 * (prompts + answers) + device.load_seconds, 300.0)
    return domain.reservation_of(domain.price_of(seconds, device.price_per_hour))


def _new_tokens(model: ModelVersion) -> int:
    return max(int((model.run.spec.get("evaluation") or {}).get("max_new_tokens") or 0), 64)


def suggestions_prepare(*, batch: SuggestionBatch) -> SuggestionBatch:
    """Write the batch's prompts into storage, once; a batch without any is done at once."""
    if batch.prompts_path or batch.status != Status.QUEUED:
        return batch
    lines = list(_prompt_lines(batch))
    stored = default_storage.save(
        f"suggestions/{batch.uid}/prompts.jsonl", ContentFile("".join(lines).encode())
    ) if lines else ""
    with transaction.atomic():
        job = job_locked(batch)
        if job.prompts_path or job.status != Status.QUEUED:
            return job
        job.prompts_path, job.total = stored, len(lines)
        if not lines:
            job_finish(job, Status.DONE, actor=SYSTEM, payload={"suggestions": 0})
        else:
            job.save(update_fields=["prompts_path", "total"])
    return job


def _prompt_lines(batch: SuggestionBatch) -> Iterator[str]:
    model = batch.model
    tasks = _tasks(model, batch.after_task_id, batch.last_task_id).select_related("example__source")
    have = set(
        Suggestion.objects.filter(
            origin=Suggestion.Origin.MODEL, origin_name=model.name,
            example__tasks__in=tasks.values("pk"),
        ).values_list("example_id", flat=True)
    )
    system = model.run.snapshot.system_prompt
    for task in tasks.iterator(chunk_size=CHUNK):
        if task.example_id in have:
            continue
        messages = prompt_of(task.example, system)
        if messages:
            yield json.dumps({"id": str(task.example_id), "messages": messages}, ensure_ascii=False) + "\n"


def prompt_of(example: Example, system: str) -> list[dict[str, str]]:
    """What the model is asked: the redacted context in the chat format, ending in the customer's turn; [] for none."""
    # Written as snapshots write it, so that the model is asked what it was taught to answer.
    row = messages_build(
        example.redacted, context_length=example.context_length, reply="", system_prompt=system,
        include_notes=example.source.include_notes,
    )
    context = [{"role": message.role, "content": message.content} for message in row[:-1]]
    return context if context and context[-1]["role"] == "user" else []


def generate_spec(batch: SuggestionBatch) -> GenerateSpec:
    """What the worker is to do; the paths are its own."""
    run = batch.model.run
    return GenerateSpec(
        job_id=str(batch.uid), base_model=run.spec["base_model"], prompts_path="",
        base_revision=str(run.result.get("base_revision") or run.spec.get("base_revision") or ""),
        max_new_tokens=_new_tokens(batch.model),
    )


def suggestions_complete(*, batch: SuggestionBatch, token: str) -> SuggestionBatch:
    """Attach the uploaded suggestions to their examples and end the batch. Twice is the same as once.

    Raises Conflict before the upload, ValidationFailed for lines that answer no prompt, TokenRefused and LeaseLost.
    """
    with transaction.atomic():
        job = job_locked(batch, token)
        if job.status == Status.DONE:
            return job
        if job.status not in domain.LEASED:
            raise LeaseLost(f"batch {job.uid} is {job.get_status_display().lower()}; its result is not taken")
        budget_ledger.meter(job, timezone.now())
        actor = trainer_of(job)
        if job.status == Status.CANCELLING or job.model.status != ModelVersion.Status.CHAMPION:
            job_finish(job, Status.CANCELLED, actor=actor, payload={"model": job.model.name})
            return job
        lease_check(job)
        if not job.results_path:
            raise Conflict(f"batch {job.uid} has no suggestions.jsonl yet; upload it before completing")
        made = _attach(job)
        job.done = job.total or 0
        job_finish(job, Status.DONE, actor=actor, payload={"model": job.model.name, "suggestions": made})
    return job


def _attach(batch: SuggestionBatch) -> int:
    with stored_open(batch.prompts_path) as file:
        asked = {json.loads(line)["id"] for line in file}
    made = 0
    for pairs in batched(_answers(batch, asked), CHUNK):
        # Of two answers to the same prompt the last counts.
        chunk = dict(pairs)
        # Examples that were withdrawn, or annotated, while the model answered get nothing.
        waiting = set(_tasks(batch.model, 0).filter(example__in=list(chunk)).values_list("example_id", flat=True))
        texts = {pk: text for pk, text in chunk.items() if pk in waiting}
        model_suggestions_add(model_name=batch.model.name, texts=texts)
        made += len(texts)
    return made


def _answers(batch: SuggestionBatch, asked: set[str]) -> Iterator[tuple[int, str]]:
    with stored_open(batch.results_path) as file:
        for number, line in enumerate(file, 1):
            found, text = _answer(number, line)
            if found not in asked:
                raise ValidationFailed(
                    f"suggestions.jsonl, line {number} answers {found!r}, which was not asked; send it again"
                )
            if text:
                yield int(found), text[:MAX_TEXT]


def _answer(number: int, line: bytes) -> tuple[str, str]:
    try:
        answer = json.loads(line)
        return str(answer["id"]), plain_lines(str(answer["text"])).strip()
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValidationFailed(
            f"suggestions.jsonl, line {number} is not an object with id and text; send it again"
        ) from None
