"""The state machines of a task, an assignment and an annotation, on plain values.

Words are those of annotation.models. A service locks the task, asks here what follows, and stores it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

OPEN, IN_REVIEW, SETTLED, WITHDRAWN = "open", "in_review", "settled", "withdrawn"
FLAGGED, CLOSED = "flagged", "closed"
ACTIVE, SUBMITTED, SKIPPED, EXPIRED, RETURNED = "active", "submitted", "skipped", "expired", "returned"

HOLDING = frozenset({ACTIVE, SUBMITTED, RETURNED})
"""Assignments that take one of the task's places."""


class WrongState(Exception):
    """The task's state does not allow this step."""


@dataclass(frozen=True, slots=True)
class Slots:
    """A task's state with its places: `taken` are held or submitted, `submitted` are answered."""

    state: str
    overlap: int
    taken: int
    submitted: int

    @property
    def available(self) -> bool:
        """Whether another person may take it."""
        return self.state == OPEN and self.taken < self.overlap


def take(slots: Slots) -> Slots:
    """A person takes a place."""
    if not slots.available:
        raise WrongState("no place is free")
    return replace(slots, taken=slots.taken + 1)


def give_back(slots: Slots) -> Slots:
    """A person who holds a place without an answer leaves it: skipped, left, or the lease ran out."""
    # An answered place is never free again by leaving; only `take_back` reopens it.
    if slots.taken <= slots.submitted:
        raise WrongState("no unanswered place is held")
    return replace(slots, taken=slots.taken - 1)


def submit(slots: Slots) -> Slots:
    """A person who holds a place answers; the last answer sends the task to review.

    An annotator who held a place when another flagged the task may still answer; the task stays flagged.
    """
    if slots.state not in (OPEN, FLAGGED) or slots.submitted >= slots.taken:
        raise WrongState("no unanswered place is held")
    after = replace(slots, submitted=slots.submitted + 1)
    # The flag waits for a decision, and an answer that arrives meanwhile must not put the task into review.
    return after if slots.state == FLAGGED else replace(after, state=_working(after))


def _working(slots: Slots) -> str:
    return IN_REVIEW if slots.submitted >= slots.overlap else OPEN


def take_back(slots: Slots) -> Slots:
    """An answer is undone or rejected; its author keeps the place."""
    if slots.state not in (OPEN, IN_REVIEW, FLAGGED) or slots.submitted < 1:
        raise WrongState("no answer can be taken back")
    # The place stays taken, so that the author gets the task back and no other annotator takes it in between.
    return replace(slots, submitted=slots.submitted - 1, state=FLAGGED if slots.state == FLAGGED else OPEN)


def settle(slots: Slots) -> Slots:
    """A reviewer chooses an answer."""
    if slots.state != IN_REVIEW:
        raise WrongState(f"the task is {slots.state}, not in review")
    return replace(slots, state=SETTLED)


def flag(slots: Slots) -> Slots:
    """A person reports that something is wrong with the task: it is neither assigned nor settled until a
    decision. What was settled already goes into no snapshot while the flag is open."""
    if slots.state in (CLOSED, WITHDRAWN):
        raise WrongState("it is not worked on any more")
    return replace(slots, state=FLAGGED)


def resume(slots: Slots, *, settled: bool) -> Slots:
    """Flagged or closed work goes on where it was: `settled` tells whether a reviewer had chosen an answer."""
    if slots.state not in (FLAGGED, CLOSED):
        raise WrongState("it is neither flagged nor closed")
    return replace(slots, state=SETTLED if settled else _working(slots))


def close(slots: Slots) -> Slots:
    """The flag was right and the task is worth no more work; unanswered places are given up."""
    if slots.state != FLAGGED:
        raise WrongState("it is not flagged")
    # Answers that were given stay counted, so that opening the task again finds it where it was.
    return replace(slots, state=CLOSED, taken=slots.submitted)


def withdraw(slots: Slots) -> Slots:
    """The example may be worked on no more; unanswered places are given up."""
    # From every state and again without an error, because a withdrawal is walked by a job that may be repeated.
    return replace(slots, state=WITHDRAWN, taken=slots.submitted)
