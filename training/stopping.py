"""SIGTERM and SIGINT: at once where nothing is lost by it, after the step in hand while weights move.

What a stopped command leaves behind is decided by the command.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from training.errors import StopRequested


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
        self.reason = f"stopped on request ({signal.Signals(number).name})"
        if not self._deferred:
            raise StopRequested(self.reason)

    def asked(self) -> str:
        """Why to stop, "" while nobody asked."""
        return self.reason

    def check(self) -> None:
        """Stop between two parts of a run: a library may have swallowed what the handler raised."""
        if self.reason:
            raise StopRequested(self.reason)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Only note signals; whoever is inside asks and ends where its state is whole."""
        self._deferred = True
        try:
            yield
        finally:
            self._deferred = False


@contextmanager
def signals_caught() -> Iterator[Stop]:
    """SIGTERM and SIGINT go to the stop that is given; the handlers from before come back at the end."""
    stop = Stop()
    before = {number: signal.signal(number, stop.note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
