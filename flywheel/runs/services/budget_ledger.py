"""Money: reserving from a month's budget, metering time under lease, settling what a job cost.

Every function works in its caller's transaction, on a row that the caller has locked; the budget is locked after it.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.conf import settings

from flywheel.core.errors import Conflict
from flywheel.runs import domain, selectors
from flywheel.runs.models import Budget, Device, RemoteJob
from flywheel.runs.services.catalog import budget_carry


def budget_locked(device: Device) -> Budget:
    """This month's budget, locked until commit; the first to ask in a month has last month's carried over.

    Raises Conflict when no month has one, or when it is in another currency than the device's price.
    """
    budget = Budget.objects.select_for_update().filter(month=selectors.month_of()).first()
    if budget is None and budget_carry() is not None:
        budget = Budget.objects.select_for_update().get(month=selectors.month_of())
    if budget is None:
        raise Conflict(f"{selectors.month_of():%B %Y} has no budget; an admin sets one at /budget/")
    if budget.currency != device.currency:
        raise Conflict(
            f"device {device.name!r} is priced in {device.currency} and the budget is in {budget.currency}; "
            "price the device in the budget's currency"
        )
    return budget


def reserve(job: RemoteJob, budget: Budget, amount: Decimal) -> None:
    """Set `amount` aside for a job. Raises Conflict when the month's budget does not hold it."""
    refusal = domain.budget_refusal(
        cap=budget.cap, reserved=budget.reserved, spent=budget.spent, wanted=amount, currency=budget.currency
    )
    if refusal:
        raise Conflict(refusal)
    budget.reserved += amount
    budget.save(update_fields=["reserved"])
    job.budget, job.reserved = budget, amount


def meter(job: RemoteJob, now: datetime) -> None:
    """Count the time since the last heartbeat into a leased job. A gap counts one lease at most."""
    if job.heartbeat_at is not None:
        gap = (now - job.heartbeat_at).total_seconds()
        job.seconds += min(max(gap, 0.0), float(settings.FLYWHEEL["RUN_LEASE_SECONDS"]))
    job.heartbeat_at = now
    job.cost = domain.price_of(job.seconds, job.price_per_hour)


def over_reservation(job: RemoteJob) -> bool:
    """Whether a job has used up what was set aside for it."""
    return job.reserved > 0 and job.cost >= job.reserved


def overrun(job: RemoteJob) -> bool:
    """Whether a job goes on although it should have stopped when its reservation was used up."""
    return domain.overrun(cost=job.cost, reserved=job.reserved, price_per_hour=job.price_per_hour)


def settle(job: RemoteJob) -> None:
    """Give back what was reserved and book what was spent, once."""
    if job.budget_id is not None:
        # Counted here, in decimals: SQLite's own arithmetic is binary and leaves rests such as -0.0000.
        budget = Budget.objects.select_for_update().get(pk=job.budget_id)
        budget.reserved, budget.spent = budget.reserved - job.reserved, budget.spent + job.cost
        budget.save(update_fields=["reserved", "spent"])
        job.reserved = Decimal(0)
    job.heartbeat_at = None
