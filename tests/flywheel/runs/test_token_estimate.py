"""The first estimate's tokens against what the trainer's own tokenizer makes of the same rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from annotation.models import Project
from flywheel.core.models import User
from flywheel.runs import selectors, services
from flywheel.runs.models import Device
from tests.flywheel.runs import builders
from tests.training.builders import message
from training.contract import Row, TextFigures, row_from_json
from training.contract.snapshot import SplitStatistics

SAMPLE = Path("flywheel/capture/sample/tickets.jsonl")
FIGURES = {"characters_per_token": 2.0, "tokens_per_message": 7.0, "tokens_without_system": 20.0}


def sample_rows(system: bool) -> Iterator[Row]:
    """The shipped tickets as rows of a train split."""
    speakers = {"customer": "user", "agent": "assistant", "note": "assistant"}
    for number, line in enumerate(SAMPLE.read_text().splitlines()):
        messages = [message("system", "You are a helpful agent.")] if system else []
        messages += [message(speakers[m["role"]], m["text"]) for m in json.loads(line)["messages"]]
        messages += [message("assistant", "Thank you for writing to us; we look into it today.", 1)]
        yield row_from_json({"id": str(number), "split": "train", "group": str(number), "messages": messages})


@pytest.fixture
def models_dir(tmp_path: Path, settings: Any) -> Path:
    settings.FLYWHEEL = settings.FLYWHEEL | {"MODELS_DIR": str(tmp_path)}
    return tmp_path


def record(models_dir: Path, name: str, text: str) -> None:
    (models_dir / name).mkdir()
    (models_dir / name / "revision.json").write_text(text)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sft", "continued_pretraining"])
@pytest.mark.parametrize("system", [True, False])
def test_the_first_estimate_counts_the_tokens_that_the_tiny_models_tokenizer_makes(
    method: str, system: bool, models_dir: Path
) -> None:
    from training.base_models import base_model_make
    from training.encoding import Encoder
    from training.models import tokenizer_load

    base_model_make("tiny", models_dir / "tiny")
    statistics = SplitStatistics()
    for row in sample_rows(system):
        statistics.add(row)
    encoder = Encoder(tokenizer_load(models_dir / "tiny"), 4096, method)
    encoder.encode(sample_rows(system))
    counted = selectors.figures_of("tiny").tokens(
        rows=statistics.rows, messages=statistics.messages, characters=statistics.characters, method=method,
        system=system,
    )
    assert counted == pytest.approx(encoder.account.total, rel=0.1)


def test_an_estimate_counts_with_what_was_measured_of_its_base_model(
    models_dir: Path, project: Project, device: Device, lead: User
) -> None:
    record(models_dir, "measured", json.dumps({"text": FIGURES}))
    counts = {"rows": 24, "messages": 60, "characters": 5000, "tokens": 1550}
    snapshot = builders.snapshot(project, lead, system_prompt="", manifest={
        "token_statistics": {"splits": {"train": counts, "test": counts}},
    })
    found = {
        name: services.run_estimate(
            snapshot=snapshot, recipe=builders.recipe(base_model=name), device=device,
            overrides={"hyperparameters": {"epochs": 1, "max_length": 512}},
        ).estimate for name in ("measured", "elsewhere")
    }
    assert found["measured"].tokens == 5000 // 2 + 60 * 7 + 24 * 20
    assert "2.00 to a token" in found["measured"].assumptions[1]
    assert "as measured" in found["measured"].assumptions[1]
    assert found["elsewhere"].tokens == 5000 // 4 + 60 * 5
    assert "assumed" in found["elsewhere"].assumptions[1]


def test_conversations_longer_than_a_sequence_are_counted_cut(
    models_dir: Path, project: Project, device: Device, lead: User
) -> None:
    counts = {"rows": 24, "messages": 48, "characters": 1_000_000}
    snapshot = builders.snapshot(project, lead, manifest={
        "token_statistics": {"splits": {"train": counts, "test": counts}},
    })
    found = services.run_estimate(
        snapshot=snapshot, recipe=builders.recipe(), device=device, overrides={"hyperparameters": {"epochs": 1}},
    )
    assert found.estimate.tokens == 24 * 128


@pytest.mark.parametrize("text", [
    "", "[]", "{}", '{"text": 1}', '{"text": {}}', json.dumps({"text": FIGURES | {"characters_per_token": 0}}),
    json.dumps({"text": FIGURES | {"characters_per_token": "2"}}),
    json.dumps({"text": FIGURES | {"tokens_per_message": float("nan")}}),
    json.dumps({"text": FIGURES | {"tokens_per_message": True}}),
    json.dumps({"text": FIGURES | {"tokens_without_system": -1}}), "[" * 100_000,
])
def test_a_record_that_holds_no_figures_is_counted_on_as_if_it_were_not_there(text: str, models_dir: Path) -> None:
    record(models_dir, "odd", text)
    assert selectors.figures_of("odd") == TextFigures()


@pytest.mark.parametrize("name", ["nowhere", "a\0b", "x" * 5000])
def test_a_base_model_that_is_not_on_this_machine_is_counted_on_as_usual(name: str, models_dir: Path) -> None:
    assert selectors.figures_of(name) == TextFigures()
