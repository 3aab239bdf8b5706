"""SIGTERM and SIGINT: at once where nothing is lost by it, after the step in hand while weights move. SIGUSR1 is how a
worker tells that the money is used up: the same, and the weights so far are kept.

What a stopped command leaves behind is decided by the command.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from training.errors import OutOfMoney, StopRequested

OUT_OF_MONEY = "budget: what was set aside is used up"


class Stop:
    """Remembers that SIGTERM or SIGINT came, and ends what may be ended anywhere.

    Loading libraries, reading, evaluating and answering are cut off on the spot: they take seconds, hold nothing that
    is worth keeping, and write files whole or not at all. Inside `deferred` the signal is only noted.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._deferred = False

    def note(self, number: int, _frame: object) -> None:
        """Signal handler. Raises StopRequested at the first signal outside `deferred`."""
        if self.reason:
            return  # The first one is being obeyed; a second one must not cut off what is written down of it.
        money = number == signal.SIGUSR1
        self.reason = OUT_OF_MONEY if money else f"stopped on request ({signal.Signals(number).name})"
        if not self._deferred:
            self.check()

    def asked(self) -> str:
        """Why to stop, "" while nobody asked."""
        return self.reason

    def check(self) -> None:
        """Stop between two parts of a run: a library may have swallowed what the handler raised."""
        self.check_money()
        if self.reason:
            raise StopRequested(self.reason)

    def check_money(self) -> None:
        """Stop when the money is used up: such a run is not taken up again, so that nothing in hand is owed to it."""
        if self.reason == OUT_OF_MONEY:
            raise OutOfMoney(self.reason)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Only note signals; whoever is inside asks and ends where its state is whole."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False


SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


@contextmanager
def signals_caught() -> Iterator[Stop]:
    """SIGTERM, SIGINT and SIGUSR1 go to the stop that is given; the handlers from before come back at the end."""
    stop = Stop()
    before = {number: signal.signal(number, stop.note) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
