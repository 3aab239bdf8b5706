"""Annotation's half of the gate: is the answer good. Whether it may teach is provenance's half."""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """What keeps an example out. The sentences for people are in `annotation.quality_text`."""

    NO_TASK = "no_task"
    TO_ANNOTATE = "open"
    IN_REVIEW = "in_review"
    FLAGGED = "flagged"
    CLOSED = "closed"
    WITHDRAWN = "withdrawn"
    EMPTY_REPLY = "empty_reply"
    NOT_SEARCHED = "not_searched"


def quality_fault(*, state: str | None, reply: str | None, searched: bool = True) -> Fault | None:
    """The fault of an example whose task is in `state` (None: no task) with this settled reply; None when good.

    `reply` is None when the project asks for none. `searched`: whether personal data was looked for in the answer.
    """
    if state is None:
        return Fault.NO_TASK
    if state != "settled":
        return Fault(state)
    if reply is not None and not reply.strip():
        return Fault.EMPTY_REPLY
    return None if searched else Fault.NOT_SEARCHED
