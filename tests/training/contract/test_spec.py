"""The documents of the contract: what is wrong is refused by field, value and mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training import builders
from training.contract import ContractError, GenerateSpec, RunEvent, RunResult, RunSpec


def value(**changes: Any) -> dict[str, Any]:
    return builders.spec(Path("/s"), "0" * 64, Path("/m"), **changes)


def test_a_specification_survives_the_way_through_json() -> None:
    spec = RunSpec.from_json(value())
    assert RunSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"method": "guess"}, "method is 'guess'"), ({"tuning": "half"}, "tuning is 'half'"),
        ({"schema": "flywheel.runspec/0"}, "schema"), ({"run_id": " "}, "run_id is empty"),
        ({"seed": -1}, "seed is -1"), ({"seed": True}, "seed is True"), ({"surprise": 1}, "unknown field 'surprise'"),
        ({"snapshot": {"merkle_root": "xyz"}}, "snapshot.merkle_root"),
        ({"hyperparameters": {"learning_rate": float("nan")}}, "finite"),
        ({"hyperparameters": {"batch_size": 0}}, "batch_size is 0"),
        ({"hyperparameters": {"epochs": "two"}}, "epochs is 'two'"),
        ({"hyperparameters": {"precision": "int4"}}, "precision is 'int4'"),
        ({"hyperparameters": {"scheduler": "magic"}}, "scheduler is 'magic'"),
        ({"limits": {"max_steps": -1}}, "max_steps is -1"), ({"evaluation": {"split": "train"}}, "evaluation.split"),
        ({"evaluation": {"max_new_tokens": 0}}, "evaluation.max_new_tokens is 0"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ContractError, match=named):
        RunSpec.from_json(value(**changes))


def test_a_missing_field_is_named() -> None:
    broken = value()
    del broken["base_model"]
    with pytest.raises(ContractError, match="lacks 'base_model'"):
        RunSpec.from_json(broken)


def test_something_else_than_an_object_is_refused() -> None:
    with pytest.raises(ContractError, match="is list; give an object"):
        RunSpec.from_json([])


def test_events_and_results_are_checked() -> None:
    with pytest.raises(ContractError, match="kind"):
        RunEvent.from_json({"seq": 1, "at": "2024-01-01T00:00:00+00:00", "kind": "gossip", "data": {}})
    with pytest.raises(ContractError, match="status"):
        RunResult.from_json({"run_id": "r", "status": "fine", "snapshot_root": "", "base_model": "tiny"})


def test_a_generate_specification_needs_a_base_model() -> None:
    with pytest.raises(ContractError, match="base_model is empty"):
        GenerateSpec.from_json({"job_id": "j", "base_model": "", "prompts_path": "p"})
