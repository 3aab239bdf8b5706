"""What a run will take in time and money."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

from flywheel.runs.domain.assumptions import assumptions_of
from flywheel.runs.domain.workload import CENT, MOST_MONEY, Estimate, PastRun, Rate, Workload
from training.contract.flops import flops_per_token

SPREAD = 0.15
"""Share by which a measured rate may be off: a machine with other work varies that much from run to run."""

GENERATION_SHARE = 0.05
"""Share of the peak that generating reaches: one token at a time is limited by memory, not by arithmetic."""

CHECKPOINT_BYTES_PER_SECOND = 200e6
TRAINED_SHARE = {"lora": 0.04, "full": 1.0}
"""Share of the weights that is trained. A checkpoint holds these and two optimiser moments, in float32."""


def estimate_cost(work: Workload, rate: Rate, past: Sequence[PastRun] = ()) -> Estimate:
    """Time and money of a run. Rates measured in `past` runs of the same recipe and device replace the assumed ones."""
    per_token = flops_per_token(
        parameters=work.parameters, layers=work.layers, width=work.width, length=work.max_length, tuning=work.tuning
    )
    tokens, steps = _tokens_and_steps(work, past)
    flops = per_token * tokens
    train_low, train_high = _training_seconds(work, rate, tokens, flops, past)
    over_low, over_high = _overhead_seconds(work, rate, past)
    low, high = train_low + over_low, train_high + over_high
    return Estimate(
        tokens=tokens, steps=steps, flops=flops, seconds_low=round(low, 1), seconds_high=round(high, 1),
        overhead_low=round(over_low, 1), overhead_high=round(over_high, 1), cost_low=price_of(low, rate.price_per_hour),
        cost_high=price_of(high, rate.price_per_hour), currency=rate.currency, basis="measured" if past else "cold",
        assumptions=assumptions_of(work, rate, past, flops_per_token=per_token, spread=SPREAD),
    )


def _tokens_and_steps(work: Workload, past: Sequence[PastRun]) -> tuple[int, int]:
    if not past:
        return work.tokens, work.steps
    # The correction applies to the whole run; the limit on steps must cut the corrected number, not the planned one.
    whole = replace(work, max_steps=None)
    tokens = whole.tokens * sum(run.tokens_ratio for run in past) / len(past)
    steps = max(1, round(whole.steps * sum(run.steps_ratio for run in past) / len(past)))
    limited = steps if work.max_steps is None else min(steps, work.max_steps)
    return round(tokens * limited / steps), limited


def _training_seconds(
    work: Workload, rate: Rate, tokens: int, flops: float, past: Sequence[PastRun]
) -> tuple[float, float]:
    speeds = [run.tokens_per_second for run in past if run.tokens_per_second > 0]
    if speeds:
        return tokens / (max(speeds) * (1 + SPREAD)), tokens / (min(speeds) * (1 - SPREAD))
    peak = rate.peak_gflops * 1e9
    return flops / (rate.mfu_high * peak), flops / (rate.mfu_low * peak) + work.steps * rate.step_seconds


def _overhead_seconds(work: Workload, rate: Rate, past: Sequence[PastRun]) -> tuple[float, float]:
    measured = [run.overhead_seconds for run in past if run.overhead_seconds > 0]
    if measured:
        return min(measured) * (1 - SPREAD), max(measured) * (1 + SPREAD)
    peak = rate.peak_gflops * 1e9
    # Base and tuned model both pass over the test rows (2 FLOPs a weight and token) and both answer the samples.
    forward = 2 * 2.0 * work.parameters * work.evaluation_tokens
    answers = 2 * 2.0 * work.parameters * work.generated_tokens / (GENERATION_SHARE * peak)
    trained_bytes = work.parameters * TRAINED_SHARE.get(work.tuning, 1.0) * 4 * 3
    writes = (work.steps / max(work.checkpoint_every, 1) + 1) * (0.1 + trained_bytes / CHECKPOINT_BYTES_PER_SECOND)
    # The factors widen the range where nothing was measured: disks and generation vary more than arithmetic does.
    low = rate.load_seconds * 0.5 + forward / (rate.mfu_high * peak) + answers * 0.5 + writes * 0.5
    high = rate.load_seconds * 1.5 + forward / (rate.mfu_low * peak) + answers * 2 + writes * 1.5
    return low, high


def price_of(seconds: float, per_hour: Decimal) -> Decimal:
    """The price of a time, rounded to the stored places and limited to the largest amount that can be stored."""
    return min(Decimal(str(seconds)) * per_hour / 3600, MOST_MONEY).quantize(CENT, ROUND_HALF_UP)


def managed_price(tokens: int, per_million: Decimal) -> Decimal:
    """What a managed service charges to train on so many tokens."""
    return min(Decimal(tokens) * per_million / 1_000_000, MOST_MONEY).quantize(CENT, ROUND_HALF_UP)


def estimate_error(estimate_low: float, estimate_high: float, actual: float) -> float | None:
    """Actual over the middle of the estimate: 1.0 is exact, 2.0 took twice as long. None without an estimate."""
    middle = (estimate_low + estimate_high) / 2
    return actual / middle if middle > 0 else None
