"""The outbox: work that must follow a commit, done at least once, by handlers that may run twice.

`outbox_add` writes the row in the caller's transaction and wakes Celery on commit; `outbox_deliver` runs one row;
`outbox_sweep` finds rows whose message or worker was lost. What the work is belongs to each app's jobs module.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django.apps import apps
from django.conf import settings
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.module_loading import module_has_submodule

from flywheel.work.models import OutboxMessage

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 8

Handler = Callable[[dict[str, Any]], None]
_handlers: dict[str, Handler] = {}


class RetryLater(Exception):
    """Raised by a handler that cannot work yet; the row is tried again after `seconds` and no attempt is counted."""

    def __init__(self, reason: str, *, seconds: float = 5) -> None:
        super().__init__(reason)
        self.seconds = seconds


def outbox_handler(topic: str) -> Callable[[Handler], Handler]:
    """Register the function that does the work of `topic`. It must change nothing when run a second time."""

    def register(function: Handler) -> Handler:
        known = _handlers.get(topic)
        if known is not None and known.__module__ != function.__module__:
            raise RuntimeError(f"topic {topic!r} has two handlers, in {known.__module__} and {function.__module__}")
        _handlers[topic] = function
        return function

    return register


def claim_length() -> timedelta:
    """How long one attempt may take before another worker may try; long handlers call `outbox_extend`."""
    return timedelta(seconds=settings.FLYWHEEL["CLAIM_SECONDS"])


def _handler(topic: str) -> Handler:
    if topic not in _handlers:
        for config in apps.get_app_configs():
            if config.module is not None and module_has_submodule(config.module, "tasks"):
                importlib.import_module(f"{config.name}.tasks")
    return _handlers[topic]


def outbox_add(
    *, topic: str, payload: dict[str, Any], dedupe_key: str = "", delay: timedelta = timedelta(0)
) -> OutboxMessage:
    """Ask for work after this transaction commits, not before `delay` has passed.

    With `dedupe_key`, a message that already waits for the same topic and key serves for both and is returned.
    """
    message = OutboxMessage(
        topic=topic, payload=payload, dedupe_key=dedupe_key, available_at=timezone.now() + delay
    )
    if dedupe_key:
        message = _add_once(message)
    else:
        message.save(force_insert=True)
    if not delay:
        transaction.on_commit(lambda: _nudge(message.pk))
    return message


def _add_once(message: OutboxMessage) -> OutboxMessage:
    waiting = OutboxMessage.objects.filter(
        topic=message.topic, dedupe_key=message.dedupe_key, done_at=None, dead_at=None, claimed_until=None
    )
    while (found := waiting.first()) is None:
        # The loop ends: either our row is inserted, or another's waits; it repeats only if that was claimed meanwhile.
        OutboxMessage.objects.bulk_create([message], ignore_conflicts=True)
    return found


def _nudge(message_id: int) -> None:
    try:
        # By its name, since the job itself imports this module.
        current_app.send_task("work.deliver", args=[message_id], ignore_result=True)
    except Exception:
        # The broker may be away; the row stays and the sweep sends it again.
        log.warning("the broker did not take outbox message %s; the sweep will send it again", message_id)


def outbox_deliver(message_id: int) -> bool:
    """Run one message. Returns whether its handler ran to the end now; safe to call any number of times."""
    message = _claim(message_id)
    if message is None:
        return False
    try:
        _handler(message.topic)(message.payload)
    except RetryLater as later:
        OutboxMessage.objects.filter(pk=message.pk).update(
            claimed_until=timezone.now() + timedelta(seconds=later.seconds), attempts=message.attempts - 1,
            last_error=str(later)[:2000],
        )
        return False
    except Exception as error:
        _failed(message, error)
        return False
    OutboxMessage.objects.filter(pk=message.pk).update(done_at=timezone.now(), last_error="")
    return True


def _claim(message_id: int) -> OutboxMessage | None:
    now = timezone.now()
    claimed = (
        OutboxMessage.objects.filter(pk=message_id, done_at=None, dead_at=None, available_at__lte=now)
        .filter(Q(claimed_until=None) | Q(claimed_until__lte=now))
        .update(claimed_until=now + claim_length())
    )
    if not claimed:
        return None
    message = OutboxMessage.objects.get(pk=message_id)
    message.attempts += 1
    OutboxMessage.objects.filter(pk=message_id).update(attempts=message.attempts)
    return message


def _failed(message: OutboxMessage, error: Exception) -> None:
    log.exception("outbox message %s (%s) failed on attempt %s", message.pk, message.topic, message.attempts)
    now = timezone.now()
    fields: dict[str, Any] = {"last_error": f"{type(error).__name__}: {error}"[:2000]}
    if message.attempts >= MAX_ATTEMPTS:
        fields["dead_at"] = now
    else:
        fields["claimed_until"] = now + timedelta(seconds=min(2**message.attempts, 300))
    OutboxMessage.objects.filter(pk=message.pk).update(**fields)


def outbox_extend(*, topic: str, until: datetime | None = None, **payload_contains: Any) -> None:
    """Keep the claim of running messages of `topic` whose payload holds these values, for as long as a new one."""
    rows = OutboxMessage.objects.filter(topic=topic, done_at=None, dead_at=None).exclude(claimed_until=None)
    for key, value in payload_contains.items():
        rows = rows.filter(**{f"payload__{key}": value})
    rows.update(claimed_until=until or timezone.now() + claim_length())


def outbox_sweep(*, limit: int = 200) -> int:
    """Send again what is due and not being worked on. Returns how many messages were sent."""
    due = list(_due()[:limit])
    for message_id in due:
        _nudge(message_id)
    return len(due)


def _due() -> Any:
    # A fresh row's own nudge gets a head start, so that the sweep does not send everything twice.
    now = timezone.now()
    return (
        OutboxMessage.objects.filter(done_at=None, dead_at=None, available_at__lte=now)
        .filter(Q(claimed_until=None, available_at__lte=now - timedelta(seconds=5)) | Q(claimed_until__lte=now))
        .order_by("available_at", "id")
        .values_list("pk", flat=True)
    )


def outbox_retry(*, message_ids: list[int]) -> int:
    """Give dead messages their attempts back, so that the sweep sends them. Returns how many were dead."""
    return OutboxMessage.objects.filter(pk__in=message_ids, done_at=None).exclude(dead_at=None).update(
        dead_at=None, attempts=0, claimed_until=timezone.now()
    )


def outbox_drain(*, limit: int = 100_000) -> int:
    """Run everything that is due here and now, in order: for the command line, tests and recovery by hand."""
    done = 0
    for _ in range(limit):
        now = timezone.now()
        message_id = (
            OutboxMessage.objects.filter(done_at=None, dead_at=None, available_at__lte=now)
            .filter(Q(claimed_until=None) | Q(claimed_until__lte=now))
            .order_by("id")
            .values_list("pk", flat=True)
            .first()
        )
        if message_id is None:
            return done
        done += outbox_deliver(message_id)
    return done
