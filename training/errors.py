"""How a run ends other than well. The command line turns each into one line on stderr and an exit code.

Errors of the contract (ContractError, RowError) live with the contract; crashes keep their own types.
"""

from __future__ import annotations


class BadInput(ValueError):
    """Nothing was trained because of what was given: exit code 2. The message names the thing, value and mend."""


class StopRequested(BaseException):
    """Someone asked the run to stop (a signal): exit code 3. Like KeyboardInterrupt no error that a library handles."""


class OutOfMoney(StopRequested):
    """What was set aside for the run is used up: the weights so far are kept, and nothing more is measured."""


class RunFailed(RuntimeError):
    """A run that broke down for a reason that a person can mend: exit code 1, one line, no traceback."""


class Diverged(RunFailed):
    """The loss or the gradient is not a number any more, or far above where it began."""


class LimitReached(Exception):
    """Time or money is used up while the model is being measured; the run ends as stopped."""
