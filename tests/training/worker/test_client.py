"""The worker's HTTP client: settings, retries and what it does not retry."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from training.worker.client import LeaseLost, Rejected, Settings, WebClient


class Answers(httpx.BaseTransport):
    """Gives one status after another, the last one again and again; 0 for an unreachable web."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.calls = list(statuses), 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        status = self.statuses[min(self.calls, len(self.statuses) - 1)]
        self.calls += 1
        if not status:
            raise httpx.ConnectError("connection refused", request=request)
        return httpx.Response(status, json={"error": {"message": f"status {status}"}})


def client(answers: Answers, tmp_path: Path, patience: float) -> WebClient:
    settings = Settings(url="http://web.test", work_dir=tmp_path, models_dir=tmp_path, transport=answers,
                        patience_seconds=patience)
    return WebClient(settings, "run", "r1", "secret")


@pytest.mark.parametrize("first", [0, 503])
def test_a_call_is_retried_until_the_web_answers(first: int, tmp_path: Path) -> None:
    answers = Answers(first, 200)
    client(answers, tmp_path, 5).post("events", {})
    assert answers.calls == 2


@pytest.mark.parametrize(("status", "error"), [
    (0, httpx.TransportError), (503, Rejected), (403, LeaseLost), (401, LeaseLost), (422, Rejected),
])
def test_without_patience_the_first_problem_is_raised(status: int, error: type[Exception], tmp_path: Path) -> None:
    answers = Answers(status)
    with pytest.raises(error, match=f"status {status}" if status else "refused"):
        client(answers, tmp_path, 0).post("events", {})
    assert answers.calls == 1


@pytest.mark.parametrize("status", [403, 422])
def test_a_final_refusal_is_not_retried(status: int, tmp_path: Path) -> None:
    answers = Answers(status)
    with pytest.raises((LeaseLost, Rejected)):
        client(answers, tmp_path, 5).post("events", {})
    assert answers.calls == 1


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLYWHEEL_VAR_DIR", str(tmp_path))
    monkeypatch.setenv("FLYWHEEL_URL", "https://web.example")
    monkeypatch.delenv("FLYWHEEL_MODELS_DIR", raising=False)
    found = Settings.from_environment()
    assert (found.url, found.work_dir, found.models_dir) == (
        "https://web.example", tmp_path / "work", tmp_path / "models"
    )
