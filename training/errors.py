"""Errors of a run. The command line turns each into one line on stderr and an exit code.

Errors of documents (ContractError, RowError, SnapshotError) are in `training.contract.errors`.
"""

from __future__ import annotations


class BadInput(ValueError):
    """Nothing was trained because the input is wrong: exit code 2. The message names object, value and fix."""


class StopRequested(BaseException):
    """A signal requested a stop: exit code 3. A BaseException, so that libraries do not swallow it."""


class OutOfMoney(StopRequested):
    """The budget reserved for the run is used up: the weights so far are kept, and nothing more is measured."""


class RunFailed(RuntimeError):
    """A run that failed for a reason that a person can fix: exit code 1, one line, no traceback."""


class Diverged(RunFailed):
    """The loss or the gradient is not finite, or far above its first value."""


class LimitReached(Exception):
    """A limit on time or cost is reached during the evaluation; the run ends as stopped."""
