"""What is said of a fault of an example's answer: the rule, the value seen and the fix. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from annotation.domain.quality import Fault


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an example is kept out: the rule's id, the value seen, and the fix. Same shape as provenance's reasons."""

    rule: str
    value: str
    fix: str


REASONS = {
    Fault.NO_TASK: Reason("no_task", "no project has a task for it", "add its source to a project"),
    Fault.TO_ANNOTATE: Reason("not_settled", "the task waits to be annotated", "annotate it"),
    Fault.IN_REVIEW: Reason("not_settled", "the task waits for review", "review it"),
    Fault.FLAGGED: Reason("task_flagged", "the task is flagged and not decided yet", "decide about the flag"),
    Fault.CLOSED: Reason(
        "task_closed", "the task was closed after a flag", "open it again if it should teach after all"
    ),
    Fault.WITHDRAWN: Reason("task_withdrawn", "the task was withdrawn", "nothing: its data may not be used"),
    Fault.EMPTY_REPLY: Reason("empty_reply", "the settled answer has no reply", "annotate it again"),
    Fault.NOT_SEARCHED: Reason(
        "reply_not_searched", "the reply was not searched for personal data yet",
        "wait for the worker to search it; if it does not, an admin finds the reason among the dead messages",
    ),
}
"""Several faults may share a rule, because pages and snapshots count by rule."""


def reasons_of(fault: Fault | None) -> list[Reason]:
    """The reasons against an example with this fault; [] for None."""
    return [] if fault is None else [REASONS[fault]]
