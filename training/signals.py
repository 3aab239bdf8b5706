"""Stopping on signals: at once where nothing is lost by it, after the current step while weights are updated.

SIGTERM and SIGINT request a stop. With SIGUSR1 a worker reports that the budget is used up: the run stops the same way
and keeps the weights so far.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from training.errors import OutOfMoney, StopRequested

OUT_OF_MONEY = "budget: what was set aside is used up"


class Stop:
    """Records the first signal, and raises at once unless `deferred` is active.

    Loading libraries, reading, evaluating and answering may be interrupted anywhere, because they take seconds, hold
    no state worth keeping and write files atomically.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._deferred = False

    def note(self, number: int, _frame: object) -> None:
        """Signal handler. Raises StopRequested at the first signal outside `deferred`."""
        if self.reason:
            # The first signal is being handled; a second one must not interrupt what is written because of it.
            return
        money = number == signal.SIGUSR1
        self.reason = OUT_OF_MONEY if money else f"stopped on request ({signal.Signals(number).name})"
        if not self._deferred:
            self.check()

    def asked(self) -> str:
        """Why to stop, "" when no signal has arrived."""
        return self.reason

    def check(self) -> None:
        """Call between two parts of a run, because a library may have swallowed what the handler raised."""
        self.check_money()
        if self.reason:
            raise StopRequested(self.reason)

    def check_money(self) -> None:
        """Raise OutOfMoney when the budget is used up: the run will not be resumed, so no state is worth saving."""
        if self.reason == OUT_OF_MONEY:
            raise OutOfMoney(self.reason)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Only record signals. The code inside must ask for them and stop where its state is consistent."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False


SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


@contextmanager
def signals_caught() -> Iterator[Stop]:
    """Handle SIGTERM, SIGINT and SIGUSR1 through the yielded Stop, and restore the previous handlers at the end."""
    stop = Stop()
    before = {number: signal.signal(number, stop.note) for number in SIGNALS}
    try:
        yield stop
    finally:
        # Restored, because tests run several commands in one process.
        for number, handler in before.items():
            signal.signal(number, handler)
