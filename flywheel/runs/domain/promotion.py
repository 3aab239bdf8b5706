"""When a model may be promoted, what a decision against the rule needs, and how models are named."""

from __future__ import annotations

import math
from dataclasses import dataclass

SMALL_SAMPLE = 30
"""Below this many test rows a difference in loss may be chance."""

LEAST_REASON = 10
MOST_REASON = 4000

LONGEST_SLUG = 55
"""Longest project slug in a model's name. Gauges store the model's name in their scope, which is limited in length."""

RULE = "A model is promoted when its loss on the snapshot's test split is below the base model's."


def model_name(slug: str, project_id: int, generation: int) -> str:
    """The name of a project's model: `<slug>-g<generation>`. The project's key makes a cut slug unique."""
    stem = slug if len(slug) <= LONGEST_SLUG else f"{slug[:LONGEST_SLUG - 15]}-p{project_id}"
    return f"{stem}-g{generation}"


@dataclass(frozen=True, slots=True)
class PromotionVerdict:
    """Whether a model may be promoted without an override, the figures behind it, and caveats."""

    passes: bool
    sentence: str
    notes: tuple[str, ...] = ()


def promotion_rule(
    *, split: str | None, rows: int, tokens: int, base_loss: float | None, tuned_loss: float | None
) -> PromotionVerdict:
    """A model passes when its loss is below the base model's on the test split.

    Losses are in nats per assistant token. `split` is None when the run was not evaluated.
    """
    if split is None or base_loss is None or tuned_loss is None:
        return PromotionVerdict(False, "The run was not evaluated, so there is nothing to compare.")
    figures = f"{tuned_loss:.4f} against the base model's {base_loss:.4f} on {rows:,} {split} rows ({tokens:,} tokens)"
    # Training may have selected its checkpoint on validation rows, so only the test split is evidence.
    if split != "test":
        return PromotionVerdict(False, f"Measured on the {split} split, not on test: {figures}.")
    if rows < 1 or tokens < 1:
        return PromotionVerdict(False, "The test split has no rows, so there is nothing to compare.")
    if not (math.isfinite(base_loss) and math.isfinite(tuned_loss)):
        return PromotionVerdict(False, f"A loss is not a number: {figures}.")
    notes = []
    if rows < SMALL_SAMPLE:
        notes.append(f"Only {rows} test rows: below {SMALL_SAMPLE} a difference may be chance. Read the samples too.")
    if base_loss > 0 and abs(tuned_loss - base_loss) / base_loss < 0.01:
        notes.append("The losses differ by less than 1 %: hardly a difference that a reader would notice.")
    if tuned_loss < base_loss:
        change = 1 - tuned_loss / base_loss if base_loss else 0.0
        return PromotionVerdict(True, f"The tuned model is better by {change:.1%}: {figures}.", tuple(notes))
    return PromotionVerdict(False, f"The tuned model is not better: {figures}.", tuple(notes))


def override_problem(reason: str, what: str = "an override") -> str:
    """What is wrong with the written reason of an override or of another permanent decision; "" when it is valid."""
    if len(reason) > MOST_REASON:
        return f"the reason of {what} has {len(reason):,} characters; at most {MOST_REASON:,} are kept"
    if len(reason.strip()) < LEAST_REASON:
        return f"{what} needs its reason in writing, at least {LEAST_REASON} characters; it goes into the ledger"
    return ""
