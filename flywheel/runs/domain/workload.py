"""The values that an estimate is made from and the estimate itself."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from training.contract import TextFigures

CENT = Decimal("0.0001")
"""Money is kept to four places, because an hour of a small CPU costs less than a cent a minute."""

MOST_MONEY = Decimal("99999999")
"""The largest amount that the database columns hold, in whole units of the currency."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The work of a run. Token counts are per epoch; lengths are in tokens."""

    tokens_per_epoch: int
    epochs: float
    parameters: int
    layers: int
    width: int
    max_length: int
    tuning: str
    batch_tokens: int
    checkpoint_every: int = 20
    evaluation_tokens: int = 0
    generated_tokens: int = 0
    max_steps: int | None = None
    figures: TextFigures | None = None
    """The tokenizer statistics that the tokens were counted with; None when they were counted otherwise."""

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        planned = math.ceil(self.tokens_per_epoch * self.epochs / max(self.batch_tokens, 1))
        return max(1, planned if self.max_steps is None else min(planned, self.max_steps))

    @property
    def tokens(self) -> int:
        """Tokens trained on, over all epochs."""
        planned = math.ceil(self.tokens_per_epoch * self.epochs)
        return planned if self.max_steps is None else min(planned, self.max_steps * self.batch_tokens)


@dataclass(frozen=True, slots=True)
class Rate:
    """Speed and price of a device: `peak_gflops` in 10^9 FLOP/s, price per hour, MFU as shares of the peak."""

    peak_gflops: float
    price_per_hour: Decimal
    currency: str = "EUR"
    mfu_low: float = 0.30
    mfu_high: float = 0.50
    step_seconds: float = 0.05
    load_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class PastRun:
    """A finished run of the same recipe on the same device.

    `overhead_seconds` is its time outside training. The ratios are actual over estimated tokens and steps: the
    estimate counts characters, and only the run's tokenizer showed the real numbers.
    """

    tokens_per_second: float
    overhead_seconds: float
    tokens_ratio: float = 1.0
    steps_ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Time in seconds and money as a range. `basis` is "cold" or "measured"; `assumptions` are sentences."""

    tokens: int
    steps: int
    flops: float
    seconds_low: float
    seconds_high: float
    overhead_low: float
    overhead_high: float
    cost_low: Decimal
    cost_high: Decimal
    currency: str
    basis: str
    assumptions: tuple[str, ...] = field(default_factory=tuple)

    def to_json(self) -> dict[str, Any]:
        """The estimate as JSON values. Money becomes text, because a JSON float would lose places."""
        return asdict(self) | {
            "cost_low": str(self.cost_low), "cost_high": str(self.cost_high), "assumptions": list(self.assumptions),
        }
