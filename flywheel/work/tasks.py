"""Celery's entry into the outbox: deliver one message, sweep what was lost."""

from __future__ import annotations

from celery import shared_task

from flywheel.work.outbox import outbox_deliver, outbox_sweep


@shared_task(name="work.deliver", acks_late=True, ignore_result=True)
def deliver(message_id: int) -> None:
    """Run one outbox message; twice is the same as once."""
    outbox_deliver(message_id)


@shared_task(name="work.sweep", ignore_result=True)
def sweep() -> None:
    """Send again what a crash or an absent broker lost."""
    outbox_sweep()
