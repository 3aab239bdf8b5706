"""What a run refuses before it trains: specification, base model, disk, snapshot. Nothing here trains."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training import builders
from tests.training.outputs import result
from training import run as run_module
from training.errors import BadInput
from training.run import evaluate_again, run

SpecOf = Callable[..., dict[str, Any]]


def refused(spec: dict[str, Any], out: Path, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        run(spec, out)
    assert not (out / "checkpoints").exists()


def test_resuming_from_nothing_is_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no whole checkpoint"):
        run(spec_of(resume_from=str(tmp_path / "nowhere")), tmp_path / "out")


def test_a_cost_limit_without_a_price_is_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cost_per_hour is 0"):
        run(spec_of(limits={"max_cost": 1}), tmp_path / "out")


def test_a_missing_base_model_is_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    refused(spec_of(base_model="gpt-nowhere"), tmp_path / "out", "'gpt-nowhere' is neither a folder")
    assert result(tmp_path / "out").status == "failed"


def test_another_revision_of_the_base_model_is_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    refused(spec_of(base_revision="0" * 64), tmp_path / "out", "has revision")


def test_a_damaged_base_model_is_refused(spec_of: SpecOf, tiny: Path, tmp_path: Path) -> None:
    damaged = Path(shutil.copytree(tiny, tmp_path / "damaged"))
    with (damaged / "model.safetensors").open("ab") as file:
        file.write(b"x")
    refused(spec_of(base_model=str(damaged)), tmp_path / "out", "model.safetensors differs from revision.json")


def test_a_tokenizer_with_more_words_than_the_model_is_refused(spec_of: SpecOf, tiny: Path, tmp_path: Path) -> None:
    from training.models import tokenizer_load

    other = Path(shutil.copytree(tiny, tmp_path / "other"))
    tokenizer = tokenizer_load(tiny)
    tokenizer.add_tokens([f"word{i}" for i in range(1000)])
    tokenizer.save_pretrained(str(other))
    (other / "revision.json").unlink()
    refused(spec_of(base_model=str(other)), tmp_path / "out", r"ids up to \d+, the model has 1024 rows")


def test_pickled_weights_are_refused(spec_of: SpecOf, tiny: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(tiny, tmp_path / "other"))
    (other / "model.safetensors").rename(other / "pytorch_model.bin")
    (other / "revision.json").unlink()
    refused(spec_of(base_model=str(other)), tmp_path / "out", "only safetensors are read")


def test_sequences_longer_than_the_model_are_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    refused(spec_of(hyperparameters={"max_length": 4096}), tmp_path / "out", "made for 2048 tokens")


def test_a_full_disk_is_seen_before_training(
    spec_of: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    monkeypatch.setattr(run_module.shutil, "disk_usage", lambda _: usage)
    refused(spec_of(), tmp_path / "out", r"has 0.00 GB free, the run needs about 0.05 GB")


def test_a_tampered_snapshot_is_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    spec = spec_of()
    path = Path(spec["snapshot"]["path"]) / "train.parquet"
    path.write_bytes(path.read_bytes() + b"x")
    refused(spec, tmp_path / "out", "does not verify")


def test_a_customer_in_two_splits_is_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    records = builders.rows()
    records[-1]["group"] = records[0]["group"]
    refused(spec_of(records), tmp_path / "out", "group 'g0' stands in train and test")


def test_a_snapshot_with_nothing_to_learn_names_a_row(spec_of: SpecOf, tmp_path: Path) -> None:
    record = builders.row(1)
    record["messages"][-1]["weight"] = 0
    refused(spec_of([record]), tmp_path / "out", "row 'ex-00001' has no assistant message with weight 1")


def test_measuring_what_was_never_trained_is_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no model folder"):
        evaluate_again(spec_of(), tmp_path / "out")
