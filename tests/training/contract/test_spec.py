"""The documents of the contract: an error names the field, the bad value and the fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training import builders
from training.contract import ContractError, GenerateSpec, RunEvent, RunResult, RunSpec
from training.contract.validation import json_schema


def value(**changes: Any) -> dict[str, Any]:
    return builders.spec(Path("/s"), "0" * 64, Path("/m"), **changes)


def test_a_specification_survives_json() -> None:
    spec = RunSpec.from_json(value())
    assert RunSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"method": "guess"}, "method is 'guess'"), ({"tuning": "half"}, "tuning is 'half'"),
        ({"schema": "flywheel.runspec/0"}, "schema"), ({"run_id": " "}, "run_id is ' '; give a name"),
        ({"seed": -1}, "seed is -1"), ({"seed": True}, "seed is True"), ({"surprise": 1}, "unknown field 'surprise'"),
        ({"snapshot": {"merkle_root": "xyz"}}, "snapshot.merkle_root"),
        ({"hyperparameters": {"learning_rate": float("nan")}}, "finite"),
        ({"hyperparameters": {"batch_size": 0}}, "batch_size is 0"),
        ({"hyperparameters": {"epochs": "two"}}, "epochs is 'two'"),
        ({"hyperparameters": {"precision": "int4"}}, "precision is 'int4'"),
        ({"hyperparameters": {"scheduler": "magic"}}, "scheduler is 'magic'"),
        ({"limits": {"max_steps": -1}}, "max_steps is -1; give a number of 0 or more"),
        ({"hyperparameters": {"batch_size": 4.0}}, "batch_size is 4.0; give a whole number"),
        ({"hyperparameters": {"packing": 1}}, "packing is 1; give true or false"),
        ({"hyperparameters": {"learning_rate": 2}}, "learning_rate is 2; give a number of 1 or less"),
        ({"limits": []}, "limits is list; give an object"),
        ({"method": "x" * 999}, "…; use one of sft, continued_pretraining"), ({"evaluation": {"split": "train"}}, "evaluation.split"),
        ({"evaluation": {"max_new_tokens": 0}}, "evaluation.max_new_tokens is 0"),
    ],
)
def test_the_wrong_field_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ContractError, match=named):
        RunSpec.from_json(value(**changes))


def test_a_missing_field_is_named() -> None:
    broken = value()
    del broken["base_model"]
    with pytest.raises(ContractError, match="lacks 'base_model'"):
        RunSpec.from_json(broken)


def test_a_document_must_be_an_object() -> None:
    with pytest.raises(ContractError, match="is list; give an object"):
        RunSpec.from_json([])


def test_events_and_results_are_checked() -> None:
    with pytest.raises(ContractError, match="kind"):
        RunEvent.from_json({"seq": 1, "at": "2024-01-01T00:00:00+00:00", "kind": "gossip", "data": {}})
    with pytest.raises(ContractError, match="status"):
        RunResult.from_json({"run_id": "r", "status": "fine", "snapshot_root": "", "base_model": "tiny"})


def test_a_generate_specification_needs_a_base_model() -> None:
    with pytest.raises(ContractError, match="base_model is ''; give a name"):
        GenerateSpec.from_json({"job_id": "j", "base_model": "", "prompts_path": "p"})


def test_the_schema_of_a_specification_names_its_fields_and_ranges() -> None:
    schema = json_schema(RunSpec)
    assert schema["required"] == ["run_id", "base_model", "snapshot"]
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Hyperparameters"]["properties"]["batch_size"] == {
        "default": 4, "maximum": 4096, "minimum": 1, "title": "Batch Size", "type": "integer",
    }
