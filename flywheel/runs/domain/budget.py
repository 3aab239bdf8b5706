"""What a month's budget still allows, and who may approve spending it."""

from __future__ import annotations

from decimal import ROUND_UP, Decimal

from flywheel.runs.domain.workload import CENT

OVERRUN_SHARE = Decimal("0.1")
OVERRUN_HOURS = Decimal(1) / 6
"""Grace for a job that was asked to stop: a tenth of its reservation and ten minutes, because it must still write a
checkpoint, upload it and end."""


def budget_left(*, cap: Decimal, reserved: Decimal, spent: Decimal) -> Decimal:
    """The amount that may still be reserved this month; never below zero."""
    return max(cap - reserved - spent, Decimal(0))


def budget_refusal(*, cap: Decimal, reserved: Decimal, spent: Decimal, wanted: Decimal, currency: str) -> str:
    """Why `wanted` cannot be reserved, "" when it can."""
    left = budget_left(cap=cap, reserved=reserved, spent=spent)
    if wanted <= left:
        return ""
    return (
        f"the run may cost up to {wanted} {currency} and {left} {currency} of this month's {cap} {currency} are left "
        f"({spent} spent, {reserved} reserved); raise the cap, wait for running runs to settle, or request less"
    )


def second_person_refusal(
    *, high: Decimal, threshold: Decimal, requester: object, approver: object, currency: str
) -> str:
    """Why `approver` may not approve the run, "" when they may. Above the threshold a second person must approve."""
    if high <= threshold or requester != approver:
        return ""
    return (
        f"a run of up to {high} {currency} is above {threshold} {currency} and was requested by you; "
        "another admin must approve it"
    )


def reservation_of(cost_high: Decimal) -> Decimal:
    """The amount reserved for a run: its high estimate, rounded up to the stored places and at least one of them."""
    # A reservation of zero would let a run start without any limit on its spending.
    return max(cost_high, CENT).quantize(CENT, ROUND_UP)


def overrun(*, cost: Decimal, reserved: Decimal, price_per_hour: Decimal) -> bool:
    """Whether a job that was asked to stop at its reservation ran on for longer than stopping takes."""
    return reserved > 0 and cost > reserved * (1 + OVERRUN_SHARE) + price_per_hour * OVERRUN_HOURS
