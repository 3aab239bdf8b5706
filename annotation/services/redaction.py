"""Personal data in answers: found by a job after the answer, kept beside it, judged by reviewers.

The answer itself is never changed. Exports are made of both (annotation.domain.redaction): snapshots take
the redacted reply, and an answer that was not searched is not cleared. The policy is that of captured text: the same
detector, the same known names and products, the placeholders that the conversation has.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from annotation.access import access_annotation
from annotation.domain import redaction
from annotation.models import Annotation, Project, Task
from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.capture.domain.redaction import redact
from flywheel.capture.selectors import Spoken, spoken_of
from flywheel.core.actors import SYSTEM
from flywheel.core.errors import Forbidden, ValidationFailed
from flywheel.core.models import User
from flywheel.privacy.detector import Detector, default_detector
from flywheel.work.jobs import job_add
from flywheel.work.models import Job

log = logging.getLogger(__name__)

TOPIC = "annotation.search"
CHUNK = 100
PATIENCE = timedelta(minutes=10)
"""How long an answer's own message has before the sweep asks again."""

Found = tuple[Annotation, list[redaction.Span]]


def search_ask(annotation: Annotation) -> None:
    """Have a new answer searched after this transaction; called before the ledger is."""
    job_add(kind=TOPIC, payload={"annotation": annotation.pk})


def annotations_search(*, annotation_ids: Iterable[int], detector: Detector | None = None) -> int:
    """Search these answers for personal data, those that were not searched. Returns how many were.

    Running it twice, also at once, finds and stores the same once. What the detector cannot read stays unsearched; the
    error is raised once the others are stored.
    """
    # Answers that were searched are passed over, so a message that is delivered twice costs one query.
    waiting = Annotation.objects.filter(pk__in=list(annotation_ids), searched_at=None).order_by("pk")
    answers = list(waiting.select_related("task__example__capture", "task__example__source"))
    found, failed = _found(answers, detector)
    stored = _spans_store(found)
    if failed is not None:
        # Raised after the others are stored: the job's retry then only has the answer that failed.
        raise failed
    return stored


def _found(answers: list[Annotation], detector: Detector | None) -> tuple[list[Found], Exception | None]:
    if not answers:
        return [], None
    try:
        return list(_searched(answers, detector or default_detector())), None
    except Exception as error:
        if len(answers) == 1:
            log.exception("annotation %s could not be searched for personal data", answers[0].pk)
            return [], error
    # One text that the detector chokes on must not keep the others.
    each = [_found([answer], detector) for answer in answers]
    return [own for found, _ in each for own in found], next((failed for _, failed in each if failed), None)


def _searched(answers: list[Annotation], detector: Detector) -> Iterator[Found]:
    spoken = [spoken_of(answer.task.example) for answer in answers]
    texts = [redaction.written(answer.result) for answer in answers]
    # With the whole conversation before each answer, because names are recognised by where they occurred, and
    # placeholders must be the conversation's.
    spans = detector.find(
        [[*known.texts, *(text.text for text in own)] for known, own in zip(spoken, texts, strict=True)],
        names=[known.names for known in spoken], things=[known.things for known in spoken],
    )
    for answer, known, own, found in zip(answers, spoken, texts, spans, strict=True):
        yield answer, _spans(known, own, found[len(known.texts) :])


def _spans(known: Spoken, own: list[redaction.Written], found: list[Any]) -> list[redaction.Span]:
    """Placeholders as the conversation has them, new numbers for what it does not name."""
    texts = [*known.redacted, *(text.text for text in own)]
    replaced = redact(
        texts, [[]] * len(known.redacted) + found, people=known.names, first_message=-len(known.redacted),
        given=known.given,
    )
    return redaction.spans_of(own, replaced.pii)


@transaction.atomic
def _spans_store(found: list[Found]) -> int:
    now, stored = timezone.now(), []
    for answer, spans in found:
        # Another worker may have been first; it found the same.
        fresh = Annotation.objects.filter(pk=answer.pk, searched_at=None)
        if fresh.update(pii=spans, searched_at=now):
            stored.append({"annotation": answer.pk, "found": sorted(span["type"] for span in spans)})
    if stored:
        ledger_append(
            actor=SYSTEM, action=Action.ANNOTATION_SEARCH, object="annotations",
            touched={"annotation": [row["annotation"] for row in stored]},
            payload={"searched": stored},
        )
    return len(stored)


def project_search(*, project: Project) -> Iterator[int]:
    """Search the settled answers of a project that were not searched yet, in bounded steps; yields after each.

    An answer that cannot be searched is passed over, so that it keeps no other from a snapshot.
    """
    after = 0
    while True:
        waiting = Annotation.objects.filter(
            settles__project=project, settles__state=Task.State.SETTLED, searched_at=None, pk__gt=after
        )
        ids = list(waiting.order_by("pk").values_list("pk", flat=True)[:CHUNK])
        if not ids:
            return
        # By key, because an answer that cannot be searched stays unsearched and would be found again for ever.
        after = ids[-1]
        try:
            yield annotations_search(annotation_ids=ids)
        except Exception:
            # It was logged; the gate keeps it out and says why.
            yield 0


def search_sweep(*, limit: int = 1_000) -> int:
    """Ask once more for answers that still wait, such as those given before there was a search. Returns how many."""
    waiting = Annotation.objects.filter(searched_at=None, created_at__lt=timezone.now() - PATIENCE)
    keys = {f"annotation:{pk}": pk for pk in waiting.order_by("pk").values_list("pk", flat=True)[:limit]}
    # Once: also a dead message counts, so that what the detector cannot read is not tried for ever.
    asked = set(
        Job.objects.filter(kind=TOPIC, dedupe_key__in=list(keys)).values_list("dedupe_key", flat=True)
    )
    fresh = [(key, pk) for key, pk in keys.items() if key not in asked]
    with transaction.atomic():
        for key, pk in fresh:
            job_add(kind=TOPIC, payload={"annotation": pk}, dedupe_key=key)
    return len(fresh)


def span_keep(*, annotation_id: int, by: User, control: str, part: int, start: int, keep: bool) -> Annotation:
    """Record that a part found in an answer is not personal data, so it is kept; or, with `keep` False, that it is.

    The span is named by its control, part and start. Again changes nothing. Frozen snapshots stay as they are. Raises
    NotFound, Forbidden (the project's reviewers and leads judge, never what they wrote themselves) and ValidationFailed
    when there does not exist.
    """
    annotation = access_annotation(by, annotation_id, "task.review")
    # Four eyes again: the author of a name must not be the one who declares it harmless.
    if annotation.author_id == by.pk:
        raise Forbidden("you wrote this yourself; another reviewer or lead has to say what is personal data in it")
    return _span_mark(annotation, by, (control, part, start), keep)


@transaction.atomic
def _span_mark(annotation: Annotation, by: User, place: tuple[str, int, int], keep: bool) -> Annotation:
    annotation = Annotation.objects.select_for_update(of=("self",)).get(pk=annotation.pk)
    spans = annotation.pii
    span = next((s for s in spans if (s["control"], s["part"], s["start"]) == place), None)
    if span is None:
        raise ValidationFailed(
            f"nothing was found in '{place[0][:80]}', part {place[1]}, at character {place[2]} of annotation "
            f"{annotation.pk}; reload the page", field="start",
        )
    if bool(span.get("kept")) == keep:
        return annotation
    span["kept"] = keep
    Annotation.objects.filter(pk=annotation.pk).update(pii=spans)
    ledger_append(
        actor=by,
        action=Action.ANNOTATION_KEEP if keep else Action.ANNOTATION_REDACT,
        object=f"annotation:{annotation.pk}",
        touched={"annotation": [annotation.pk], "task": [annotation.task_id]},
        payload={"control": place[0], "part": place[1], "start": place[2], "type": span["type"]},
    )
    return annotation
