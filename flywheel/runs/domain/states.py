"""Which state of a run or batch follows which, and what an ended run left behind."""

from __future__ import annotations

PURPOSE_OF_METHOD = {"sft": "sft", "continued_pretraining": "continued_pretraining"}
"""The purpose that a snapshot must be cleared for before a method may train on it."""

ENDED = frozenset({"done", "stopped", "cancelled", "failed"})
LEASED = frozenset({"running", "cancelling"})

NEXT: dict[str, frozenset[str]] = {
    "requested": frozenset({"queued", "cancelled"}),
    # A batch without a prompt goes straight to done, because there is nothing to answer.
    "queued": frozenset({"running", "cancelled", "done"}),
    # A run goes back to queued when its worker died: the next attempt resumes from the checkpoint.
    "running": frozenset({"queued", "cancelling", "cancelled", "done", "stopped", "failed"}),
    "cancelling": frozenset({"cancelled"}),
}


def may_become(status: str, following: str) -> bool:
    """Whether a run in `status` may go to `following`. An ended run never changes its state."""
    return following in NEXT.get(status, frozenset())


def redispatch_after(dispatches: int) -> float:
    """Seconds until a queued run's message counts as lost: 60, doubling with each dispatch, at most 900."""
    return float(min(60 * 2 ** max(dispatches - 1, 0), 900))


def missing(*, status: str, step: int, total_steps: int, model: str, evaluated: bool) -> str:
    """Which expected result an ended run did not produce, and the fix; "" when nothing is missing."""
    if status not in ("done", "stopped") or (model and evaluated):
        return ""
    if status == "done":
        return "" if not model else (
            "It was not measured, because its split has no row that can be. Promoting it takes a reason in writing; a "
            "snapshot with such rows gives figures."
        )
    if not model:
        return "It left no model. Request the run again, with a higher reservation if the budget ended it."
    how_far = (
        "All steps were done" if 0 < total_steps <= step else f"{step:,} of {total_steps:,} steps were done"
    )
    return (
        f"{how_far} and the weights are kept as {model}, but they were not measured against the base model. Promoting "
        "them takes a reason in writing; for figures, request the run again with a higher limit."
    )
