"""Estimates of time and money."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.runs import domain
from flywheel.runs.domain import PastRun, Rate, Workload

WORK = Workload(
    tokens_per_epoch=10_000, epochs=2, parameters=135_000_000, layers=30, width=576, max_length=512, tuning="lora",
    batch_tokens=1024, evaluation_tokens=2_000, generated_tokens=100,
)
RATE = Rate(peak_gflops=180, price_per_hour=Decimal("0.05"), load_seconds=20)


def test_hours_are_flops_over_mfu_times_peak() -> None:
    bare = replace(RATE, load_seconds=0, step_seconds=0)
    work = replace(WORK, evaluation_tokens=0, generated_tokens=0, checkpoint_every=10**9)
    found = domain.estimate_cost(work, bare)
    flops = 4 * 135e6 * 20_000
    assert found.flops == flops
    assert found.seconds_low - found.overhead_low == pytest.approx(flops / (0.50 * 180e9), rel=0.01)
    assert found.seconds_high - found.overhead_high == pytest.approx(flops / (0.30 * 180e9), rel=0.01)


def test_a_cold_estimate_says_that_nothing_was_measured() -> None:
    found = domain.estimate_cost(WORK, RATE)
    assert found.basis == "cold"
    assert "No run of this recipe was measured" in found.assumptions[1]
    assert found.cost_low < found.cost_high


def test_past_runs_narrow_the_range() -> None:
    cold = domain.estimate_cost(WORK, RATE)
    warm = domain.estimate_cost(WORK, RATE, [PastRun(120, 30), PastRun(130, 33)])
    assert warm.basis == "measured"
    assert warm.seconds_high / warm.seconds_low < cold.seconds_high / cold.seconds_low
    assert warm.seconds_low < 20_000 / 125 + 31 < warm.seconds_high
    assert "2 past runs" in warm.assumptions[1]


def test_past_runs_correct_the_tokens_and_steps_that_are_counted_on() -> None:
    plain = domain.estimate_cost(WORK, RATE, [PastRun(100, 10)])
    twice = domain.estimate_cost(WORK, RATE, [PastRun(100, 10, tokens_ratio=2.0, steps_ratio=3.0)])
    assert (twice.tokens, twice.steps) == (2 * plain.tokens, 3 * plain.steps)
    assert twice.seconds_high - twice.overhead_high == pytest.approx(2 * (plain.seconds_high - plain.overhead_high))
    assert "2.00 × the tokens that were counted on" in twice.assumptions[1]
    limited = domain.estimate_cost(
        replace(WORK, max_steps=plain.steps), RATE, [PastRun(100, 10, tokens_ratio=2.0, steps_ratio=3.0)]
    )
    assert limited.steps == plain.steps
    assert limited.tokens == pytest.approx(2 * plain.tokens / 3, abs=1)


def test_steps_beyond_the_limit_cost_nothing() -> None:
    limited = domain.estimate_cost(replace(WORK, max_steps=3), RATE)
    assert limited.steps == 3
    assert limited.tokens == 3 * 1024


def test_an_estimate_survives_json() -> None:
    found = domain.estimate_cost(WORK, RATE)
    value = found.to_json()
    assert Decimal(value["cost_high"]) == found.cost_high
    assert isinstance(value["assumptions"], list)


def test_a_managed_service_is_paid_by_the_million_tokens() -> None:
    assert domain.managed_price(2_500_000, Decimal("3.00")) == Decimal("7.5")


def test_the_error_of_an_estimate_is_actual_over_its_middle() -> None:
    assert domain.estimate_error(80, 120, 150) == 1.5
    assert domain.estimate_error(0, 0, 150) is None


@given(st.integers(1, 10**7), st.floats(0.1, 20), st.sampled_from(["lora", "full"]))
def test_the_low_end_is_never_above_the_high_end(tokens: int, epochs: float, tuning: str) -> None:
    work = replace(WORK, tokens_per_epoch=tokens, epochs=epochs, tuning=tuning)
    for past in ([], [PastRun(50, 0), PastRun(70, 12)]):
        found = domain.estimate_cost(work, RATE, past)
        assert 0 <= found.seconds_low <= found.seconds_high
        assert found.cost_low <= found.cost_high
