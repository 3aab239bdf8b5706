"""What a run refuses before it trains: specification, base model, disk, snapshot. Nothing here trains."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training import builders
from tests.training.outputs import result
from training.contract import ContractError
from training.errors import BadInput
from training.events import EventLog
from training.run import evaluate_again, run

SpecOf = Callable[..., dict[str, Any]]


def refused(spec: dict[str, Any], out: Path, named: str) -> None:
    with pytest.raises((BadInput, ContractError), match=named):
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
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    refused(spec_of(), tmp_path / "out", r"has 0.00 GB free, the run needs about 0.05 GB")


def test_an_adapter_larger_than_the_disk_is_seen_before_training(
    spec_of: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=90_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    refused(spec_of(hyperparameters={"lora_r": 512}), tmp_path / "out", r"has 0.09 GB free, the run needs about 0.1")


def test_a_tampered_snapshot_is_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    spec = spec_of()
    path = Path(spec["snapshot"]["path"]) / "train.parquet"
    path.write_bytes(path.read_bytes() + b"x")
    refused(spec, tmp_path / "out", "does not verify")


def test_a_customer_in_two_splits_is_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    records = builders.rows()
    records[-1]["group"] = records[0]["group"]
    refused(spec_of(records), tmp_path / "out", "group 'g0' is in train and test")


def test_a_snapshot_with_nothing_to_learn_names_a_row(spec_of: SpecOf, tmp_path: Path) -> None:
    record = builders.row(1)
    record["messages"][-1]["weight"] = 0
    refused(spec_of([record]), tmp_path / "out", "row 'ex-00001' has no assistant message with weight 1")


def test_evaluating_an_untrained_folder_is_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no model folder"):
        evaluate_again(spec_of(), tmp_path / "out")


Change = Callable[[Path], object]


def weights_change(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def tensor_drop(weights: dict[str, Any]) -> None:
    del weights["model.layers.1.input_layernorm.weight"]


def tensor_spoil(weights: dict[str, Any]) -> None:
    weights["model.norm.weight"][3] = float("nan")


def config_change(**changes: object) -> Change:
    return lambda folder: (folder / "config.json").write_text(
        json.dumps(json.loads((folder / "config.json").read_text()) | changes)
    )


@pytest.mark.parametrize(("damage", "named"), [
    (lambda f: weights_change(f, tensor_drop), r"lack model.layers.1.input_layernorm.weight"),
    (config_change(num_hidden_layers=3), r"lack model.layers.2.* which config.json asks for"),
    (lambda f: weights_change(f, tensor_spoil), r"not all finite numbers \(model.norm.weight\)"),
    (config_change(vocab_size=2000), "cannot be loaded"),
    (config_change(hidden_size=128), "cannot be loaded"),
    (lambda f: (f / "model.safetensors").write_bytes(b"x" * 5000), "cannot be loaded"),
    (lambda f: (f / "model.safetensors").write_bytes(b""), "cannot be loaded"),
    (lambda f: (f / "config.json").write_text("{"), "config.json cannot be read"),
    (lambda f: (f / "config.json").write_text("{}"), "config.json cannot be read"),
    (lambda f: (f / "config.json").write_text('{"model_type": "zork", "auto_map": {"AutoConfig": "x.Y"}}'),
     "config.json cannot be read"),
    (lambda f: (f / "tokenizer.json").write_text("{}"), "tokenizer of .* cannot be loaded"),
    (lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer.json"),
    (lambda f: (f / "chat_template.jinja").unlink(), "has no chat template"),
    (lambda f: (f / "chat_template.jinja").write_text("{% for"), "row 'ex-00000': the chat template refuses"),
    (lambda f: (f / "revision.json").write_text('{"files": [1]}'), "names no files' digests"),
])
def test_an_incomplete_base_model_is_refused(
    spec_of: SpecOf, tiny: Path, tmp_path: Path, damage: Change, named: str
) -> None:
    other = Path(shutil.copytree(tiny, tmp_path / "other"))
    (other / "revision.json").unlink()
    damage(other)
    refused(spec_of(base_model=str(other)), tmp_path / "out", named)
    assert result(tmp_path / "out").status == "failed"


@pytest.mark.parametrize(("changes", "named"), [
    ({"base_model": "x" * 5000}, "base model 'x+' is neither a folder"),
    ({"snapshot": {"path": "x" * 5000}}, "snapshot.path 'x+' is not a folder"),
    ({"snapshot": {"path": ""}}, "snapshot.path '' is not a folder"),
    ({"snapshot": {"path": "a\0b"}}, "snapshot.path .* is not a folder"),
    ({"resume_from": "x" * 5000}, "holds no whole checkpoint"),
    ({"evaluation": {"generate_rows": 1, "max_new_tokens": 2048}}, "leaves tiny with its 2048 tokens no room"),
    ({"hyperparameters": {"early_stopping_patience": 2}}, "nothing would be watched; set eval_every"),
])
def test_values_that_could_only_fail_later_are_refused(
    spec_of: SpecOf, tmp_path: Path, changes: dict[str, Any], named: str
) -> None:
    refused(spec_of(**changes), tmp_path / "out", named)


def test_patience_without_validation_rows_is_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    changes = {"hyperparameters": {"early_stopping_patience": 2, "eval_every": 2}}
    refused(spec_of(builders.rows(6, 0, 2), **changes), tmp_path / "out", "validation split has no row to measure")


def test_a_held_out_row_that_cannot_be_measured_is_named_before_training(
    spec_of: SpecOf, tiny: Path, tmp_path: Path
) -> None:
    strict = Path(shutil.copytree(tiny, tmp_path / "strict"))
    (strict / "revision.json").unlink()
    template = strict / "chat_template.jinja"
    template.write_text("{% if messages[0]['role'] == 'assistant' %}{{ raise_exception('user first') }}{% endif %}"
                        + template.read_text())
    records = builders.rows(6, 0, 2)
    records[-1]["messages"].insert(0, builders.message("assistant", "Hello"))
    refused(spec_of(records, base_model=str(strict)), tmp_path / "out", r"row 'ex-\d+': the chat template refuses")


def test_a_run_inside_what_it_reads_is_refused_and_nothing_is_written(spec_of: SpecOf, tiny: Path) -> None:
    spec = spec_of()
    for folder in (Path(spec["snapshot"]["path"]), tiny):
        before = sorted(folder.iterdir())
        for out in (folder, folder / "out"):
            with pytest.raises(BadInput, match="which the run reads; name a folder outside it"):
                run(spec, out)
        assert sorted(folder.iterdir()) == before


def test_a_folder_with_another_model_is_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    (tmp_path / "out" / "model").mkdir(parents=True)
    with pytest.raises(BadInput, match=r"holds model and no events\.jsonl"):
        run(spec_of(), tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["model"]


def test_a_folder_in_which_another_process_works_is_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    with EventLog(tmp_path / "out"), pytest.raises(BadInput, match="another process works in"):
        run(spec_of(), tmp_path / "out")


@pytest.mark.parametrize("out", ["file", "file/below", "x" * 300])
def test_a_folder_that_cannot_be_written_is_refused(spec_of: SpecOf, tmp_path: Path, out: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadInput, match="cannot be written"):
        run(spec_of(), tmp_path / out)
