"""Pure rules of the control plane: what a run will cost, what a budget still allows, when a model is promoted,
which state follows which.

No Django and no torch. Where figures come from and what is stored is left to services.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from decimal import ROUND_HALF_UP, ROUND_UP, Decimal
from typing import Any

from training.contract import TextFigures

CENT = Decimal("0.0001")
"""Money is kept to four places: an hour of a small CPU costs less than a cent a minute."""

MOST_MONEY = Decimal("99999999")
"""What the stored amounts can hold: a hundred million less one, in whole units of the currency."""

SPREAD = 0.15
"""How far a measured rate may be off: shares of a machine with other work vary that much from run to run."""

GENERATION_SHARE = 0.05
"""Share of the peak that answering reaches: one token at a time is bound by memory, not by arithmetic."""

CHECKPOINT_BYTES_PER_SECOND = 200e6
TRAINED_SHARE = {"lora": 0.04, "full": 1.0}
"""Share of the weights that is trained; a checkpoint holds these and two moments of the optimiser, in float32."""

SMALL_SAMPLE = 30
"""Below this many test rows a difference in loss says little."""

LEAST_REASON = 10
MOST_REASON = 4000

PURPOSE_OF_METHOD = {"sft": "sft", "continued_pretraining": "continued_pretraining"}
"""What a snapshot must have been cleared for before a method may train on it."""


# -- states ----------------------------------------------------------------------------------------------------------
ENDED = frozenset({"done", "stopped", "cancelled", "failed"})
LEASED = frozenset({"running", "cancelling"})

NEXT: dict[str, frozenset[str]] = {
    "requested": frozenset({"queued", "cancelled"}),
    # Straight to done is a batch without a prompt.
    "queued": frozenset({"running", "cancelled", "done"}),
    # Back to queued is a worker that died: the next attempt resumes from the checkpoint.
    "running": frozenset({"queued", "cancelling", "cancelled", "done", "stopped", "failed"}),
    "cancelling": frozenset({"cancelled"}),
}


def may_become(status: str, following: str) -> bool:
    """Whether a run in `status` may go to `following`. An ended run goes nowhere."""
    return following in NEXT.get(status, frozenset())


def redispatch_after(dispatches: int) -> float:
    """Seconds until a queued run's message is taken for lost: 60, doubling, 15 minutes at most."""
    return float(min(60 * 2 ** max(dispatches - 1, 0), 900))


# -- cost ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Workload:
    """What a run has to do. Tokens are those of one epoch; lengths in tokens."""

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
    """What the tokens were counted with; None when they were counted otherwise."""

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
    """How fast and how dear a device is. `peak_gflops` in 10^9 FLOP/s, price per hour."""

    peak_gflops: float
    price_per_hour: Decimal
    currency: str = "EUR"
    mfu_low: float = 0.30
    mfu_high: float = 0.50
    step_seconds: float = 0.05
    load_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class PastRun:
    """A finished run of the same recipe on the same device: its rate, its time outside training, and how many times
    the tokens and steps it had that were counted on before its tokenizer saw the text."""

    tokens_per_second: float
    overhead_seconds: float
    tokens_ratio: float = 1.0
    steps_ratio: float = 1.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """Time and money as a range. `basis` is "cold" or "measured"; `assumptions` are sentences."""

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
        """The estimate as JSON values; money as text, so that no place is lost."""
        return asdict(self) | {
            "cost_low": str(self.cost_low), "cost_high": str(self.cost_high), "assumptions": list(self.assumptions),
        }


def flops_per_token(*, parameters: int, layers: int, width: int, length: int, tuning: str) -> float:
    """FLOPs to train on one token.

    Full tuning: 6 per weight, and 12·L·d·T for attention (Chowdhery et al. 2022, appendix B). With a frozen base the
    gradients of its weights are not computed: 4 per weight.
    """
    if tuning == "lora":
        return 4.0 * parameters
    return 6.0 * parameters + 12.0 * layers * width * length


def estimate_cost(work: Workload, rate: Rate, past: Sequence[PastRun] = ()) -> Estimate:
    """Time and money of a run. `past` runs of the same recipe and device replace the assumed share of the peak."""
    per_token = flops_per_token(
        parameters=work.parameters, layers=work.layers, width=work.width, length=work.max_length, tuning=work.tuning
    )
    tokens, steps = _counted(work, past)
    flops = per_token * tokens
    train_low, train_high, how = _training_seconds(work, rate, tokens, flops, past)
    over_low, over_high = _overhead_seconds(work, rate, past)
    low, high = train_low + over_low, train_high + over_high
    return Estimate(
        tokens=tokens, steps=steps, flops=flops, seconds_low=round(low, 1), seconds_high=round(high, 1),
        overhead_low=round(over_low, 1), overhead_high=round(over_high, 1), cost_low=price_of(low, rate.price_per_hour),
        cost_high=price_of(high, rate.price_per_hour), currency=rate.currency, basis="measured" if past else "cold",
        assumptions=(
            _sentence_work(work, per_token), *_sentence_tokens(work.figures), how, _sentence_overhead(work, past)
        ),
    )


def _counted(work: Workload, past: Sequence[PastRun]) -> tuple[int, int]:
    """Tokens and steps, corrected by what past runs really had; a limit on steps cuts what is corrected."""
    if not past:
        return work.tokens, work.steps
    whole = replace(work, max_steps=None)
    tokens = whole.tokens * _mean([run.tokens_ratio for run in past])
    steps = max(1, round(whole.steps * _mean([run.steps_ratio for run in past])))
    taken = steps if work.max_steps is None else min(steps, work.max_steps)
    return round(tokens * taken / steps), taken


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 1.0


def price_of(seconds: float, per_hour: Decimal) -> Decimal:
    """What a time costs, rounded to the stored places; never more than can be counted."""
    return min(Decimal(str(seconds)) * per_hour / 3600, MOST_MONEY).quantize(CENT, ROUND_HALF_UP)


def managed_price(tokens: int, per_million: Decimal) -> Decimal:
    """What a managed service asks to train on so many tokens."""
    return min(Decimal(tokens) * per_million / 1_000_000, MOST_MONEY).quantize(CENT, ROUND_HALF_UP)


def estimate_error(estimate_low: float, estimate_high: float, actual: float) -> float | None:
    """Actual over the middle of the estimate: 1.0 is exact, 2.0 took twice as long. None when nothing was estimated."""
    middle = (estimate_low + estimate_high) / 2
    return actual / middle if middle > 0 else None


def _training_seconds(
    work: Workload, rate: Rate, tokens: int, flops: float, past: Sequence[PastRun]
) -> tuple[float, float, str]:
    speeds = [run.tokens_per_second for run in past if run.tokens_per_second > 0]
    if speeds:
        fast, slow = max(speeds) * (1 + SPREAD), min(speeds) * (1 - SPREAD)
        told = f"{len(speeds)} past run{'s' if len(speeds) > 1 else ''} of this recipe on this device"
        ratio = _mean([run.tokens_ratio for run in past])
        return tokens / fast, tokens / slow, (
            f"{min(speeds):,.0f} to {max(speeds):,.0f} tokens/s measured in {told}, ±{SPREAD:.0%}, "
            f"with {ratio:.2f} × the tokens that were counted on."
        )
    peak = rate.peak_gflops * 1e9
    steps = work.steps * rate.step_seconds
    return flops / (rate.mfu_high * peak), flops / (rate.mfu_low * peak) + steps, (
        f"No run of this recipe was measured on this device: {rate.mfu_low:.0%} to {rate.mfu_high:.0%} of its peak of "
        f"{rate.peak_gflops:,.0f} GFLOP/s, and up to {rate.step_seconds:g} s more for each of {work.steps:,} steps."
    )


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
    low = rate.load_seconds * 0.5 + forward / (rate.mfu_high * peak) + answers * 0.5 + writes * 0.5
    high = rate.load_seconds * 1.5 + forward / (rate.mfu_low * peak) + answers * 2 + writes * 1.5
    return low, high


def _sentence_work(work: Workload, per_token: float) -> str:
    limited = f", at most {work.max_steps:,} steps" if work.max_steps is not None else ""
    return (
        f"{work.tokens_per_epoch:,} tokens × {work.epochs:g} epochs{limited} at {per_token / 1e6:,.1f} MFLOP a token "
        f"({'a frozen base: 4 a weight' if work.tuning == 'lora' else '6 a weight, and attention'})."
    )


def _sentence_tokens(figures: TextFigures | None) -> tuple[str, ...]:
    if figures is None:
        return ()
    where = "as measured with this base model's tokenizer" if figures.measured else (
        "assumed, since this base model's tokenizer was not measured here"
    )
    return (
        f"Tokens are counted from the snapshot's characters: {figures.characters_per_token:.2f} to a token and "
        f"{figures.tokens_per_message:.1f} tokens more for each message, {where}.",
    )


def _sentence_overhead(work: Workload, past: Sequence[PastRun]) -> str:
    if any(run.overhead_seconds > 0 for run in past):
        return "Loading, evaluation and checkpoints as in those runs."
    return (
        f"Loading, {work.evaluation_tokens:,} test tokens through base and tuned model, "
        f"{work.generated_tokens:,} tokens of sample replies from each, and the checkpoints are included."
    )


def missing(*, status: str, step: int, total_steps: int, model: str, evaluated: bool) -> str:
    """What an ended run has not left that one would look for, and what to do; "" when nothing is missing."""
    if status not in ("done", "stopped") or (model and evaluated):
        return ""
    if status == "done":
        return "" if not model else (
            "It was not measured: its split has no row that can be. Promoting it takes a reason in writing; a snapshot "
            "with such rows gives figures."
        )
    if not model:
        return "It left no model. Request the run again, with more set aside for it if money was what ended it."
    whole = total_steps > 0 and step >= total_steps
    how_far = "All steps were done" if whole else f"{step:,} of {total_steps:,} steps were done"
    return (
        f"{how_far} and the weights are kept as {model}, but they were not measured against the base model. Promoting "
        "them takes a reason in writing; for figures, request the run again with a higher limit."
    )


# -- budget ----------------------------------------------------------------------------------------------------------
def budget_left(*, cap: Decimal, reserved: Decimal, spent: Decimal) -> Decimal:
    """What may still be reserved this month; never below zero."""
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
    """Why this person may not approve, "" when they may: above the threshold never one's own."""
    if high <= threshold or requester != approver:
        return ""
    return (
        f"a run of up to {high} {currency} is above {threshold} {currency} and was requested by you; "
        "another admin has to approve it"
    )


def reservation_of(cost_high: Decimal) -> Decimal:
    """What is set aside for a run: the high estimate, rounded up, never nothing."""
    return max(cost_high, CENT).quantize(CENT, ROUND_UP)


OVERRUN_SHARE = Decimal("0.1")
OVERRUN_HOURS = Decimal(1) / 6
"""A tenth of what was set aside, and ten minutes: to write a checkpoint, upload and end after being told to stop."""


def overrun(*, cost: Decimal, reserved: Decimal, price_per_hour: Decimal) -> bool:
    """Whether a job that was told to stop at its reservation went on for longer than stopping takes."""
    return reserved > 0 and cost > reserved * (1 + OVERRUN_SHARE) + price_per_hour * OVERRUN_HOURS


# -- models ----------------------------------------------------------------------------------------------------------
LONGEST_SLUG = 55
"""So that a model's name still fits where its suggestions are counted by it."""


def model_name(slug: str, project_id: int, generation: int) -> str:
    """The name of a project's model: `<slug>-g<generation>`, with a long slug cut and told apart by the project."""
    stem = slug if len(slug) <= LONGEST_SLUG else f"{slug[:LONGEST_SLUG - 15]}-p{project_id}"
    return f"{stem}-g{generation}"


# -- promotion -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class PromotionVerdict:
    """Whether a model may be promoted without an override: the rule, the numbers, and what to keep in mind."""

    passes: bool
    sentence: str
    notes: tuple[str, ...] = ()


RULE = "A model is promoted when its loss on the snapshot's test split is below the base model's."


def promotion_rule(
    *, split: str | None, rows: int, tokens: int, base_loss: float | None, tuned_loss: float | None
) -> PromotionVerdict:
    """Tuned below base on the test split, in nats per assistant token. `split` None: the run was not evaluated."""
    if split is None or base_loss is None or tuned_loss is None:
        return PromotionVerdict(False, "The run was not evaluated, so there is nothing to compare.")
    figures = f"{tuned_loss:.4f} against the base model's {base_loss:.4f} on {rows:,} {split} rows ({tokens:,} tokens)"
    if split != "test":
        return PromotionVerdict(False, f"Measured on the {split} split, not on test: {figures}.")
    if rows < 1 or tokens < 1:
        return PromotionVerdict(False, "The test split has no rows, so there is nothing to compare.")
    if not (math.isfinite(base_loss) and math.isfinite(tuned_loss)):
        return PromotionVerdict(False, f"A loss is not a number: {figures}.")
    notes = _promotion_notes(rows, base_loss, tuned_loss)
    if tuned_loss < base_loss:
        change = 1 - tuned_loss / base_loss if base_loss else 0.0
        return PromotionVerdict(True, f"The tuned model is better by {change:.1%}: {figures}.", notes)
    return PromotionVerdict(False, f"The tuned model is not better: {figures}.", notes)


def _promotion_notes(rows: int, base_loss: float, tuned_loss: float) -> tuple[str, ...]:
    notes = []
    if rows < SMALL_SAMPLE:
        notes.append(f"Only {rows} test rows: below {SMALL_SAMPLE} a difference may be chance. Read the samples too.")
    if base_loss > 0 and abs(tuned_loss - base_loss) / base_loss < 0.01:
        notes.append("The losses differ by less than 1 %: hardly a difference that a reader would notice.")
    return tuple(notes)


def override_problem(reason: str, what: str = "an override") -> str:
    """What is wrong with the reason of an override, or of another decision that stays; "" when it will do."""
    if len(reason) > MOST_REASON:
        return f"the reason of {what} has {len(reason):,} characters; at most {MOST_REASON:,} are kept"
    if len(reason.strip()) < LEAST_REASON:
        return f"{what} needs its reason in writing, at least {LEAST_REASON} characters; it goes into the ledger"
    return ""
