"""Which task a person gets next, and the sentence that says why. Looking it up is annotation.services.assignments's.

Oldest first: returned work of one's own, then what one holds, then the oldest task with a free place.
"""

from __future__ import annotations

OWN_RETURNED = "a reviewer sent your answer back with a comment"
OWN_ACTIVE = "you had started it"
OWN_UNDONE = "you took your last answer back"
OWN_UNFLAGGED = "you took your flag back"
HANDED_BACK = "oldest task of the project that was handed back and is free now"
OLDEST = "oldest free task of the project"
OLDEST_SHARED = "oldest task of the project with a free place ({taken} of {overlap} people have it)"
OPENED = "you opened it"


def why_of(*, handed_back: bool, overlap: int, taken_by_others: int) -> str:
    """Why a new task was given, as one sentence."""
    if handed_back:
        return HANDED_BACK
    if taken_by_others:
        return OLDEST_SHARED.format(taken=taken_by_others, overlap=overlap)
    return OLDEST


def reviewer_offset(reviewer_ids: list[int], reviewer_id: int, waiting: int) -> int:
    """Where in the queue's head a reviewer starts, so that several reviewers do not all open the same task."""
    if waiting < 1 or reviewer_id not in reviewer_ids:
        return 0
    return reviewer_ids.index(reviewer_id) % waiting
