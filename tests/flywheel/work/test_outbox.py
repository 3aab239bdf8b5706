"""The outbox: done once, tried again after faults, asked for once per key."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from flywheel.work import outbox
from flywheel.work.models import OutboxMessage

pytestmark = pytest.mark.django_db


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    seen: list[dict] = []
    monkeypatch.setitem(outbox._handlers, "test.topic", seen.append)
    return seen


def test_a_message_is_handled_once_however_often_it_is_delivered(calls):
    message = outbox.outbox_add(topic="test.topic", payload={"n": 1})
    assert outbox.outbox_deliver(message.pk)
    assert not outbox.outbox_deliver(message.pk)
    assert calls == [{"n": 1}]


def test_a_rolled_back_change_asks_for_no_work(calls):
    with transaction.atomic():
        outbox.outbox_add(topic="test.topic", payload={})
        transaction.set_rollback(True)
    assert outbox.outbox_drain() == 0


def test_a_failed_message_is_put_off_and_dies_after_the_last_attempt(monkeypatch):
    def fail(payload):
        raise RuntimeError("boom")

    monkeypatch.setitem(outbox._handlers, "test.fail", fail)
    message = outbox.outbox_add(topic="test.fail", payload={})
    for _ in range(outbox.MAX_ATTEMPTS):
        assert not outbox.outbox_deliver(message.pk)
        OutboxMessage.objects.filter(pk=message.pk).update(claimed_until=timezone.now() - timedelta(seconds=1))
    message.refresh_from_db()
    assert message.dead_at is not None
    assert message.last_error == "RuntimeError: boom"


def test_a_claimed_message_is_left_to_its_worker_until_the_claim_runs_out(calls):
    message = outbox.outbox_add(topic="test.topic", payload={})
    OutboxMessage.objects.filter(pk=message.pk).update(claimed_until=timezone.now() + timedelta(minutes=1))
    assert not outbox.outbox_deliver(message.pk)
    OutboxMessage.objects.filter(pk=message.pk).update(claimed_until=timezone.now() - timedelta(minutes=1))
    assert outbox.outbox_deliver(message.pk)


def test_asking_twice_with_one_key_queues_once(calls):
    first = outbox.outbox_add(topic="test.topic", payload={}, dedupe_key="a")
    assert outbox.outbox_add(topic="test.topic", payload={}, dedupe_key="a").pk == first.pk
    outbox.outbox_add(topic="test.topic", payload={}, dedupe_key="b")
    assert outbox.outbox_drain() == 2
    outbox.outbox_add(topic="test.topic", payload={}, dedupe_key="a")
    assert outbox.outbox_drain() == 1


def test_a_handler_that_asks_to_be_called_later_keeps_its_attempts(monkeypatch):
    def later(payload):
        raise outbox.RetryLater("not yet", seconds=0)

    monkeypatch.setitem(outbox._handlers, "test.later", later)
    message = outbox.outbox_add(topic="test.later", payload={})
    assert not outbox.outbox_deliver(message.pk)
    message.refresh_from_db()
    assert message.attempts == 0
    assert message.dead_at is None


def test_the_sweep_sends_what_was_lost_and_leaves_fresh_messages_to_their_own_nudge(calls, monkeypatch):
    sent: list[int] = []
    monkeypatch.setattr(outbox, "_nudge", sent.append)
    lost = outbox.outbox_add(topic="test.topic", payload={})
    OutboxMessage.objects.filter(pk=lost.pk).update(available_at=timezone.now() - timedelta(minutes=1))
    outbox.outbox_add(topic="test.topic", payload={})
    assert outbox.outbox_sweep() == 1
    assert sent == [lost.pk]
