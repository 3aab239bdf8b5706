"""What is said of a frozen snapshot: the names of all rules that keep examples out, and sentences. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from provenance.domain.gate import RULES
from training.contract.rows import SPLITS

RULE_NAMES = RULES | {
    "not_settled": "Not settled", "empty_reply": "The answer has no reply", "no_context": "Nothing to answer",
    "not_unicode": "Text that cannot be written", "reply_not_searched": "Reply not searched for personal data",
    "example_withdrawn": "Withdrawn or erased", "no_task": "No task", "task_withdrawn": "Task withdrawn",
    "task_flagged": "Flagged, not decided", "task_closed": "Closed after a flag",
}
"""Every rule that can keep an example out of a snapshot, with its name for people."""

MOST_NAMED = 3


def frozen_sentence(*, rows: int, refused: Mapping[str, int], root: str) -> str:
    """How a build ended. `refused` counts settled examples by the first rule that kept them out."""
    kept_out = sum(refused.values())
    if not rows and not kept_out:
        return (
            "Nothing is settled in this project yet, so the snapshot is empty. Have tasks annotated and reviewed, then "
            "freeze again."
        )
    if not rows:
        most = sorted(refused.items(), key=lambda item: -item[1])[:MOST_NAMED]
        why = "; ".join(f"{RULE_NAMES.get(rule, rule)}: {count:,}" for rule, count in most)
        return (
            f"Nothing was cleared, so the snapshot is empty: all {kept_out:,} settled examples were kept out. {why}. "
            "Each is listed under what was kept out, with its fix."
        )
    return f"Froze {rows:,} rows, kept {kept_out:,} out. Root {root[:12]}."


def missing_sentence(*, rows: int, shares: Mapping[str, float], splits: Mapping[str, int]) -> str:
    """What a frozen snapshot lacks for training or measuring on it; "" when nothing."""
    if not rows:
        return "It holds no row, so nothing can be trained on it. See what was kept out, fix it, and freeze a new one."
    empty = [split for split in SPLITS[1:] if shares.get(split, 0) > 0 and not splits.get(split)]
    if not empty:
        return ""
    lost = "measured" if "test" in empty else "watched while it trains"
    return (
        f"No row is in {' or '.join(empty)}: the rows make fewer groups of related conversations than there are "
        f"splits, and a group is never split. A model trained on it cannot be {lost}."
    )
