"""The sentences that explain an estimate. They are stored with the run, so that later changes do not rewrite them."""

from __future__ import annotations

from collections.abc import Sequence

from flywheel.runs.domain.workload import PastRun, Rate, Workload


def assumptions_of(
    work: Workload, rate: Rate, past: Sequence[PastRun], *, flops_per_token: float, spread: float
) -> tuple[str, ...]:
    """What an estimate assumes of work, tokens, speed and overhead, one sentence each.

    `spread` is the share by which a measured rate may be off.
    """
    return (
        _work_sentence(work, flops_per_token), *_token_sentences(work), _speed_sentence(work, rate, past, spread),
        _overhead_sentence(work, past),
    )


def _work_sentence(work: Workload, flops_per_token: float) -> str:
    limit = f", at most {work.max_steps:,} steps" if work.max_steps is not None else ""
    return (
        f"{work.tokens_per_epoch:,} tokens × {work.epochs:g} epochs{limit} at {flops_per_token / 1e6:,.1f} MFLOP a "
        f"token ({'a frozen base: 4 a weight' if work.tuning == 'lora' else '6 a weight, and attention'})."
    )


def _token_sentences(work: Workload) -> tuple[str, ...]:
    figures = work.figures
    if figures is None:
        return ()
    where = "as measured with this base model's tokenizer" if figures.measured else (
        "assumed, because this base model's tokenizer was not measured here"
    )
    return (
        f"Tokens are counted from the snapshot's characters: {figures.characters_per_token:.2f} to a token and "
        f"{figures.tokens_per_message:.1f} tokens more for each message, {where}.",
    )


def _speed_sentence(work: Workload, rate: Rate, past: Sequence[PastRun], spread: float) -> str:
    speeds = [run.tokens_per_second for run in past if run.tokens_per_second > 0]
    if not speeds:
        return (
            f"No run of this recipe was measured on this device: {rate.mfu_low:.0%} to {rate.mfu_high:.0%} of its peak "
            f"of {rate.peak_gflops:,.0f} GFLOP/s, and up to {rate.step_seconds:g} s more for each of {work.steps:,} "
            "steps."
        )
    ratio = sum(run.tokens_ratio for run in past) / len(past)
    return (
        f"{min(speeds):,.0f} to {max(speeds):,.0f} tokens/s measured in {len(speeds)} past "
        f"run{'s' if len(speeds) > 1 else ''} of this recipe on this device, ±{spread:.0%}, "
        f"with {ratio:.2f} × the tokens that were counted on."
    )


def _overhead_sentence(work: Workload, past: Sequence[PastRun]) -> str:
    if any(run.overhead_seconds > 0 for run in past):
        return "Loading, evaluation and checkpoints as in those runs."
    return (
        f"Loading, {work.evaluation_tokens:,} test tokens through base and tuned model, "
        f"{work.generated_tokens:,} tokens of sample replies from each, and the checkpoints are included."
    )
