"""Sources and payloads that capture's tests share, and a detector that needs no model."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from flywheel.capture import services
from flywheel.capture.models import Source
from flywheel.core.models import User
from flywheel.privacy import detector
from flywheel.privacy.detector import PiiSpan

EMAIL = re.compile(r"[\w.]+@[\w.]+\w")


class TinyDetector:
    """Finds e-mail addresses and known names."""

    def find(self, conversations: Any, *, names: Any, things: Any) -> list[list[list[PiiSpan]]]:
        return [[self._spans(text, known) for text in texts] for texts, known in zip(conversations, names, strict=True)]

    def _spans(self, text: str, known: list[str]) -> list[PiiSpan]:
        spans = [PiiSpan(m.start(), m.end(), "EMAIL", 1.0) for m in EMAIL.finditer(text)]
        for name in known:
            spans += [PiiSpan(m.start(), m.end(), "PERSON", 1.0) for m in re.finditer(re.escape(name), text)]
        return sorted(spans, key=lambda s: s.start)


@pytest.fixture(autouse=True)
def _tiny_detector(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """No test loads the model unless it asks for it."""
    tiny = TinyDetector()
    monkeypatch.setattr(detector, "default_detector", lambda: tiny)
    monkeypatch.setattr("flywheel.capture.services.prepare.default_detector", lambda: tiny)


@pytest.fixture
def make_source(admin: User) -> Callable[..., Source]:
    def make(name: str = "acme", **terms: Any) -> Source:
        terms = {"license_spdx": "CC-BY-4.0", "purposes": ["sft"]} | terms
        return services.source_create(name=name, owner=admin, by=admin, **terms)

    return make


@pytest.fixture
def source(make_source: Callable[..., Source]) -> Source:
    return make_source()


def ticket(external_id: str = "T-1", *texts: str, **fields: Any) -> dict[str, Any]:
    """A ticket whose texts alternate between customer and agent."""
    texts = texts or ("My lamp is broken, what can I do?", "Sorry to hear that. We send you a new one today.")
    roles = ("customer", "agent")
    return {
        "external_id": external_id,
        "messages": [
            {
                "role": roles[i % 2],
                "author": ("Cora Customer", "Alan Agent")[i % 2],
                "text": text,
                "at": f"2025-03-01T09:{i:02d}:00Z",
            }
            for i, text in enumerate(texts)
        ],
    } | fields


def call(external_id: str = "C-1", **fields: Any) -> dict[str, Any]:
    """A short call."""
    return {
        "external_id": external_id,
        "started_at": "2025-03-01T09:00:00Z",
        "channels": 2,
        "segments": [
            {"speaker": "agent", "start_ms": 0, "end_ms": 900, "text": "Hello, how can I help?", "confidence": 0.9},
            {"speaker": "customer", "start_ms": 1000, "end_ms": 2000, "text": "My lamp", "confidence": 0.8},
            {"speaker": "customer", "start_ms": 2100, "end_ms": 3000, "text": "is broken.", "confidence": 0.8},
            {"speaker": "agent", "start_ms": 3100, "end_ms": 4000, "text": "We send a new one.", "confidence": 0.9},
        ],
    } | fields


def deliver(source: Source, *payloads: dict[str, Any]) -> list[str]:
    """Capture these and process everything; returns what became of each delivery."""
    outcomes = list(services.capture_bulk(source=source, lines=payloads, by=source.owner))
    while services.process_captures():
        pass
    return [outcome.status for outcome in outcomes]
