"""Signals: they stop at once where nothing is lost, are recorded while weights are updated, and the first one counts."""

from __future__ import annotations

import os
import signal

import pytest

from training.errors import StopRequested
from training.signals import signals_caught


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_at_once(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    reached = []

    def work() -> None:
        os.kill(os.getpid(), number)
        reached.append("the line after the signal")

    with signals_caught(), pytest.raises(StopRequested, match=rf"stopped on request \({number.name}\)"):
        work()
    assert reached == []
    assert signal.getsignal(number) is before


def test_a_signal_is_only_recorded_while_weights_are_updated() -> None:
    with signals_caught() as stop:
        with stop.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            assert stop.asked() == "stopped on request (SIGTERM)"
        with pytest.raises(StopRequested):
            stop.check()


def test_a_second_signal_does_not_interrupt_the_handling_of_the_first() -> None:
    with signals_caught() as stop:
        with pytest.raises(StopRequested):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.asked() == "stopped on request (SIGTERM)"


def test_no_library_handles_a_request_to_stop_as_its_own_error() -> None:
    assert not issubclass(StopRequested, Exception)
