"""Job kinds that exist for one test."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from flywheel.work import registry
from flywheel.work.claims import Claim
from flywheel.work.registry import JobKind


@pytest.fixture
def kind(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict]]:
    """Register a kind: `kind("test.topic")` gives the list that its payloads are put into, in order."""

    def register(name: str, work: Callable[[Claim], str | None] | None = None, **fields) -> list[dict]:
        seen: list[dict] = []

        def collect(claim: Claim) -> str | None:
            seen.append(claim.payload)
            return work(claim) if work is not None else None

        # A kind that is sent to trainers has no work that is done here.
        local = None if "send" in fields else collect
        monkeypatch.setitem(registry._kinds, name, JobKind(name, work=local, **fields))
        return seen

    return register
