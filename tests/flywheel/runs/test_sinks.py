"""Run sinks see every event once and never fail a report."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction

from flywheel.runs import services, sinks
from flywheel.runs.models import RunEvent, TrainingRun
from tests.flywheel.runs.builders import event

pytestmark = pytest.mark.django_db
Leased = tuple[TrainingRun, str]


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    def configure(*names: str) -> Path:
        monkeypatch.setitem(settings.FLYWHEEL, "RUN_SINKS", list(names))
        monkeypatch.setitem(settings.FLYWHEEL, "RUN_SINK_DIR", str(tmp_path / "events"))
        return tmp_path / "events"

    return configure


def test_the_file_sink_writes_each_event_once(leased: Leased, use: Any, django_capture_on_commit_callbacks: Any) -> None:
    run, token = leased
    folder = use("jsonl")
    for events in ([event(1, step=1, loss=3.0)], [event(1, step=1, loss=3.0), event(2, step=2, loss=2.5)]):
        with django_capture_on_commit_callbacks(execute=True):
            services.run_report(run=run, token=token, events=events)
    lines = [json.loads(line) for line in (folder / f"{run.uid}.jsonl").read_text().splitlines()]
    assert [(line["run"], line["seq"], line["data"]["loss"]) for line in lines] == [
        (str(run.uid), 1, 3.0), (str(run.uid), 2, 2.5),
    ]


def test_the_log_sink_writes_structured_lines(
    leased: Leased, use: Any, caplog: Any, django_capture_on_commit_callbacks: Any
) -> None:
    run, token = leased
    use("log")
    with caplog.at_level(logging.INFO, logger="flywheel.runs.sinks"), django_capture_on_commit_callbacks(execute=True):
        services.run_report(run=run, token=token, events=[event(1, step=1, loss=3.0)])
    assert json.loads(caplog.messages[0])["kind"] == "metric"


def test_a_failing_sink_is_logged_and_fails_neither_the_report_nor_other_sinks(
    leased: Leased, use: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    class Broken:
        def event(self, run: TrainingRun, event: Any) -> None:
            raise OSError("the tracker is away")

    run, token = leased
    monkeypatch.setitem(sinks.SINKS, "broken", Broken)
    folder = use("broken", "jsonl")
    with django_capture_on_commit_callbacks(execute=True):
        assert services.run_report(run=run, token=token, events=[event(1, step=1)]) == 1
    assert "run sink 'broken' failed" in caplog.text
    assert (folder / f"{run.uid}.jsonl").exists()
    assert RunEvent.objects.count() == 1


def test_a_report_that_is_rolled_back_reaches_no_sink(leased: Leased, use: Any) -> None:
    run, token = leased
    folder = use("jsonl")
    with transaction.atomic():
        services.run_report(run=run, token=token, events=[event(1, step=1)])
        transaction.set_rollback(True)
    assert not folder.exists()


def test_an_unknown_sink_is_reported_by_the_system_check(use: Any) -> None:
    use("jsonl", "mlflow")
    assert [found.msg for found in sinks.sinks_check()] == [
        "FLYWHEEL_RUN_SINKS names 'mlflow'; use any of log, jsonl"
    ]
