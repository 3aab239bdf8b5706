"""Annotation's half of the gate: is the answer good. Whether it may teach is provenance's half."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an example is kept out: the rule's id, the value seen, and the fix. Same shape as provenance's reasons."""

    rule: str
    value: str
    fix: str


_NOT_SETTLED = {
    "open": ("not_settled", "the task waits to be annotated", "annotate it"),
    "in_review": ("not_settled", "the task waits for review", "review it"),
    "flagged": ("task_flagged", "somebody flagged the task and nobody has decided yet", "decide about the flag"),
    "closed": ("task_closed", "the task was closed after a flag", "open it again if it should teach after all"),
    "withdrawn": ("task_withdrawn", "the task was withdrawn", "nothing: its data may not be used"),
}


def quality_reasons_of(*, state: str | None, reply: str | None, searched: bool = True) -> list[Reason]:
    """Reasons against an example whose task is in `state` (None: no task) with this settled reply; [] when good.

    `searched` tells whether personal data was looked for in the answer.
    """
    if state is None:
        return [Reason("no_task", "no project has a task for it", "add its source to a project")]
    if state != "settled":
        return [Reason(*_NOT_SETTLED[state])]
    if reply is not None and not reply.strip():
        return [Reason("empty_reply", "the settled answer has no reply", "annotate it again")]
    if not searched:
        return [Reason(
            "reply_not_searched", "the reply was not searched for personal data yet",
            "wait for the worker to search it; if it does not, an admin finds the reason among the dead messages",
        )]
    return []
