"""States of runs and what ended runs left."""

from __future__ import annotations

from typing import Any

import pytest

from flywheel.runs import domain


def test_an_ended_run_never_changes_its_state() -> None:
    for ended in domain.ENDED:
        assert not any(domain.may_become(ended, other) for other in domain.NEXT)
    assert domain.may_become("running", "queued")


def test_lost_messages_are_sent_again_with_doubling_delays() -> None:
    assert [domain.redispatch_after(n) for n in (1, 2, 3, 20)] == [60, 120, 240, 900]


@pytest.mark.parametrize(("fields", "words"), [
    ({"status": "running"}, ""),
    ({"status": "failed", "model": ""}, ""),
    ({"evaluated": True}, ""),
    ({"status": "done", "evaluated": True}, ""),
    ({"status": "done"}, "its split has no row"),
    ({}, "All steps were done and the weights are kept as m-g1, but they were not measured"),
    ({"step": 3}, "3 of 10 steps were done and the weights"),
    ({"model": ""}, "It left no model"),
])
def test_the_missing_results_of_an_ended_run_are_named(fields: dict[str, Any], words: str) -> None:
    found = domain.missing(**{
        "status": "stopped", "step": 10, "total_steps": 10, "model": "m-g1", "evaluated": False, **fields
    })
    assert (words in found) if words else found == ""
