"""Budgets and approvals."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flywheel.runs import domain


@given(st.decimals(0, 100, places=4), st.decimals(0, 100, places=4), st.decimals(0, 200, places=4))
def test_what_is_reserved_never_passes_the_cap(reserved: Decimal, spent: Decimal, wanted: Decimal) -> None:
    cap = Decimal(100)
    refusal = domain.budget_refusal(cap=cap, reserved=reserved, spent=spent, wanted=wanted, currency="EUR")
    if not refusal and wanted:
        assert reserved + spent + wanted <= cap


def test_a_refusal_names_what_is_left() -> None:
    refusal = domain.budget_refusal(
        cap=Decimal(10), reserved=Decimal(4), spent=Decimal(5), wanted=Decimal(2), currency="EUR"
    )
    assert "2 EUR and 1 EUR" in refusal
    assert "raise the cap" in refusal


def test_above_the_threshold_the_requester_may_not_approve() -> None:
    rule: dict[str, Any] = {"threshold": Decimal(5), "currency": "EUR"}
    assert domain.second_person_refusal(high=Decimal("5.01"), requester=1, approver=1, **rule)
    assert not domain.second_person_refusal(high=Decimal("5.01"), requester=1, approver=2, **rule)
    assert not domain.second_person_refusal(high=Decimal(5), requester=1, approver=1, **rule)
