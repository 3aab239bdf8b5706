"""Whole runs of the tiny model in this process: order, resuming, limits, refusals, what is left on disk."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training import builders
from training import run as run_module
from training.artifacts import manifest_problems
from training.checkpoints import checkpoints_list
from training.contract import RunEvent, RunResult
from training.errors import BadInput, Diverged, RunFailed
from training.run import evaluate_again, run

SpecOf = Callable[..., dict[str, Any]]


def events(out: Path, kind: str | None = None) -> list[RunEvent]:
    found = [RunEvent.from_json(json.loads(line)) for line in (out / "events.jsonl").read_text().splitlines()]
    assert [e.seq for e in found] == list(range(1, len(found) + 1))
    return [e for e in found if kind in (None, e.kind)]


def result(out: Path) -> RunResult:
    return RunResult.from_json(json.loads((out / "result.json").read_text()))


def losses(out: Path) -> list[tuple[int, float]]:
    return [(e.data["step"], e.data["loss"]) for e in events(out, "metric") if "loss" in e.data]


def weights(out: Path) -> str:
    """Digest of the weights file that the run wrote."""
    (path,) = [*(out / "model").glob("*model.safetensors")]
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_run_trains_evaluates_and_leaves_everything_whole(spec_of: SpecOf, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(spec_of(limits={"cost_per_hour": 36.0}), out) == 0
    done = result(out)
    assert (done.status, done.steps, done.stop_reason, done.error) == ("done", 16, "", "")
    assert (done.last_loss or 99) < (done.first_loss or 0)
    assert done.evaluation["tuned_loss"] < done.evaluation["base_loss"]
    assert done.tokens["total"] == done.tokens["kept"] + done.tokens["truncated"] + done.tokens["dropped"]
    assert done.tokens["trained"] == 2 * done.tokens["kept"]
    assert done.cost == pytest.approx(done.train_seconds / 100)
    assert done.libraries["torch"]
    assert manifest_problems(out) == []
    listed = set(json.loads((out / "manifest.json").read_text())["files"])
    assert listed == {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()} - {"manifest.json"}
    kinds = [e.kind for e in events(out)]
    assert kinds[:3] == ["log", "log", "estimate"]
    assert kinds[-2:] == ["evaluation", "done"]
    assert not [p for p in out.rglob("*") if p.suffix in (".bin", ".pt", ".pth", ".pkl")]


def test_samples_stand_side_by_side(spec_of: SpecOf, tmp_path: Path) -> None:
    assert run(spec_of(), tmp_path / "out") == 0
    samples = result(tmp_path / "out").evaluation["samples"]
    assert len(samples) == 2
    assert set(samples[0]) == {"id", "prompt", "reference", "base_reply", "tuned_reply"}
    assert samples[0]["prompt"][-1]["role"] == "user"


def test_the_adapter_names_its_base_and_loads_with_peft(spec_of: SpecOf, tiny: Path, tmp_path: Path) -> None:
    from peft import PeftModel

    from training.models import model_load

    out = tmp_path / "out"
    assert run(spec_of(), out) == 0
    config = json.loads((out / "model" / "adapter_config.json").read_text())
    revision = json.loads((tiny / "revision.json").read_text())["revision"]
    assert (config["base_model_name_or_path"], config["revision"]) == ("tiny", revision)
    PeftModel.from_pretrained(model_load(tiny), str(out / "model"))
    assert {"tokenizer.json", "chat_template.jinja", "README.md"} <= {p.name for p in (out / "model").iterdir()}


@pytest.mark.parametrize("changes", [{"tuning": "full"}, {"method": "continued_pretraining"},
                                     {"method": "continued_pretraining", "tuning": "full"},
                                     {"hyperparameters": {"packing": False, "gradient_checkpointing": True}},
                                     {"hyperparameters": {"precision": "bfloat16", "lora_dropout": 0.1}}])
def test_every_way_of_training_learns(spec_of: SpecOf, tmp_path: Path, changes: dict[str, Any]) -> None:
    out = tmp_path / "out"
    assert run(spec_of(**changes), out) == 0
    assert result(out).evaluation["tuned_loss"] < result(out).evaluation["base_loss"]


def test_the_same_specification_gives_the_same_weights_and_another_seed_others(
    spec_of: SpecOf, tmp_path: Path
) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        assert run(spec_of(seed=seed), tmp_path / name) == 0
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")


@pytest.mark.parametrize("cut", [3, 8, 11])
@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_resuming_is_bit_exact_in_the_middle_of_an_epoch_and_at_its_end(
    spec_of: SpecOf, tmp_path: Path, cut: int, tuning: str
) -> None:
    changes: dict[str, Any] = {"tuning": tuning, "hyperparameters": {"lora_dropout": 0.2, "checkpoint_every": 50}}
    assert run(spec_of(**changes), tmp_path / "through") == 0
    assert run(spec_of(**changes, limits={"max_steps": cut}), tmp_path / "cut") == 3
    assert result(tmp_path / "cut").stop_reason == f"max_steps: {cut} of 16 steps done"
    assert run(spec_of(**changes), tmp_path / "cut") == 0
    assert losses(tmp_path / "cut") == losses(tmp_path / "through")
    assert weights(tmp_path / "cut") == weights(tmp_path / "through")
    assert result(tmp_path / "cut").resumed_from_step == cut
    assert result(tmp_path / "cut").tokens == result(tmp_path / "through").tokens


def test_losses_logged_in_windows_survive_a_cut_inside_a_window(spec_of: SpecOf, tmp_path: Path) -> None:
    changes = {"hyperparameters": {"log_every": 5}}
    assert run(spec_of(**changes), tmp_path / "through") == 0
    assert run(spec_of(**changes, limits={"max_steps": 7}), tmp_path / "cut") == 3
    assert run(spec_of(**changes), tmp_path / "cut") == 0
    assert losses(tmp_path / "cut") == losses(tmp_path / "through")


def test_a_run_goes_on_from_another_runs_checkpoint(spec_of: SpecOf, tmp_path: Path) -> None:
    assert run(spec_of(), tmp_path / "through") == 0
    assert run(spec_of(limits={"max_steps": 5}), tmp_path / "first") == 3
    assert run(spec_of(resume_from=str(tmp_path / "first")), tmp_path / "second") == 0
    assert weights(tmp_path / "second") == weights(tmp_path / "through")
    folder = tmp_path / "first" / "checkpoints" / "step-000004"
    assert run(spec_of(resume_from=str(folder)), tmp_path / "third") == 0
    assert (result(tmp_path / "third").resumed_from_step, weights(tmp_path / "third")) == (
        4, weights(tmp_path / "through"))


def test_resuming_from_nothing_is_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no whole checkpoint"):
        run(spec_of(resume_from=str(tmp_path / "nowhere")), tmp_path / "out")


def test_a_half_written_checkpoint_is_passed_over(spec_of: SpecOf, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(spec_of(limits={"max_steps": 6}), out) == 3
    newest = out / "checkpoints" / "step-000006"
    (newest / "weights.safetensors").write_bytes(b"half")
    shutil.copytree(newest, out / "checkpoints" / "step-000008")
    (out / "checkpoints" / "step-000008" / "manifest.json").unlink()
    assert run(spec_of(), tmp_path / "through") == run(spec_of(), out) == 0
    assert result(out).resumed_from_step == 4
    assert weights(out) == weights(tmp_path / "through")
    said = [e.data["message"] for e in events(out, "log")]
    assert [m.split(" is not whole")[0][-11:] for m in said if "not whole" in m] == ["step-000008", "step-000006"]


def test_checkpoints_of_another_recipe_are_refused_by_field(spec_of: SpecOf, tmp_path: Path) -> None:
    assert run(spec_of(limits={"max_steps": 2}), tmp_path / "out") == 3
    with pytest.raises(BadInput, match=r"hyperparameters.learning_rate was 0.01, is 0.02"):
        run(spec_of(hyperparameters={"learning_rate": 0.02}), tmp_path / "out")


def test_a_second_run_in_a_finished_folder_changes_no_weight(spec_of: SpecOf, tmp_path: Path) -> None:
    assert run(spec_of(), tmp_path / "out") == 0
    before = weights(tmp_path / "out")
    assert run(spec_of(), tmp_path / "out") == 0
    assert (weights(tmp_path / "out"), result(tmp_path / "out").steps) == (before, 16)


@pytest.mark.parametrize(
    ("limits", "reason"), [({"max_seconds": 0}, "max_seconds"), ({"max_cost": 0, "cost_per_hour": 5}, "max_cost"),
                           ({"max_steps": 1}, "max_steps")],
)
def test_a_limit_stops_with_a_checkpoint_and_a_usable_model(
    spec_of: SpecOf, tmp_path: Path, limits: dict[str, Any], reason: str
) -> None:
    out = tmp_path / "out"
    assert run(spec_of(limits=limits), out) == 3
    assert result(out).status == "stopped"
    assert result(out).stop_reason.startswith(reason)
    assert (out / "checkpoints" / "step-000001" / "manifest.json").is_file()
    assert (out / "model" / "adapter_model.safetensors").is_file()
    assert manifest_problems(out) == []
    assert events(out)[-1].data["status"] == "stopped"


def test_a_cost_limit_without_a_price_is_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cost_per_hour is 0"):
        run(spec_of(limits={"max_cost": 1}), tmp_path / "out")


def test_early_stopping_ends_a_run_that_no_longer_gains(spec_of: SpecOf, tmp_path: Path) -> None:
    changes = {"learning_rate": 1e-9, "eval_every": 1, "early_stopping_patience": 2, "epochs": 4, "warmup_ratio": 0}
    out = tmp_path / "out"
    assert run(spec_of(tuning="full", hyperparameters=changes), out) == 0
    assert result(out).stop_reason.startswith("early stopping") or result(out).steps == 32
    assert any("eval_loss" in e.data for e in events(out, "metric"))


def test_a_loss_that_explodes_fails_with_the_last_good_checkpoint(
    spec_of: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training import trainer

    original, calls = trainer.supervised_loss, []

    def poisoned(model: Any, inputs: dict[str, Any]) -> Any:
        total, count = original(model, inputs)
        calls.append(1)
        return (total * float("inf"), count) if len(calls) > 10 else (total, count)

    monkeypatch.setattr(trainer, "supervised_loss", poisoned)
    out = tmp_path / "out"
    with pytest.raises(Diverged, match=r"the loss is inf in step 6.*last good checkpoint is step-000004"):
        run(spec_of(), out)
    assert result(out).status == "failed"
    assert "step-000004" in result(out).error
    assert not (out / "model").exists()
    assert events(out)[-1].kind == "failed"
    monkeypatch.setattr(trainer, "supervised_loss", original)
    assert run(spec_of(), out) == 0


def test_a_rising_loss_is_divergence(spec_of: SpecOf, tmp_path: Path) -> None:
    changes = {"learning_rate": 1.0, "max_grad_norm": 0, "epochs": 10, "scheduler": "constant", "warmup_ratio": 0}
    with pytest.raises(Diverged, match=r"the loss rose to \d+.\d+ by step \d+ from 6.9"):
        run(spec_of(tuning="full", hyperparameters=changes), tmp_path / "out")


def refused(spec: dict[str, Any], out: Path, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        run(spec, out)
    assert not (out / "checkpoints").exists()


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


def test_a_disk_that_fills_up_while_training_says_so_and_goes_on_later(
    spec_of: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors import torch as files

    original, calls = files.save_file, []

    def full(tensors: Any, path: Path) -> None:
        calls.append(1)
        if len(calls) == 5:
            raise OSError(28, "No space left on device")
        original(tensors, path)

    monkeypatch.setattr(files, "save_file", full)
    out = tmp_path / "out"
    with pytest.raises(RunFailed, match="is full; make room and run again"):
        run(spec_of(), out)
    assert sorted(p.name for p in (out / "checkpoints").iterdir()) == ["step-000002", "step-000004"]
    monkeypatch.setattr(files, "save_file", original)
    assert run(spec_of(), out) == 0
    assert result(out).resumed_from_step == 4


def test_a_refused_specification_leaves_a_finished_run_as_it_is(spec_of: SpecOf, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(spec_of(), out) == 0
    before = (out / "result.json").read_bytes()
    with pytest.raises(BadInput):
        run(spec_of(seed=8), out)
    assert (out / "result.json").read_bytes() == before


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


def test_refused_rows_are_named_and_the_others_train(spec_of: SpecOf, tmp_path: Path) -> None:
    records = builders.rows()
    records[2]["messages"][-1]["weight"] = 0
    assert run(spec_of(records), tmp_path / "out") == 0
    account = json.loads((tmp_path / "out" / "account.json").read_text())
    assert list(account["refused"]) == [records[2]["id"]]
    assert result(tmp_path / "out").tokens["rows_refused"] == 1


def test_a_snapshot_without_test_rows_trains_without_evaluation(spec_of: SpecOf, tmp_path: Path) -> None:
    assert run(spec_of(builders.rows(12, 0, 0)), tmp_path / "out") == 0
    assert result(tmp_path / "out").evaluation == {}


def test_measuring_again_gives_the_same_figures(spec_of: SpecOf, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(spec_of(), out) == 0
    before = result(out).evaluation
    assert evaluate_again(spec_of(), out) == 0
    assert result(out).evaluation == before
    assert manifest_problems(out) == []


def test_measuring_what_was_never_trained_is_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no model folder"):
        evaluate_again(spec_of(), tmp_path / "out")


@pytest.mark.parametrize(("micro_batch", "step"), [(0, 0), (1, 1), (4, 2), (5, 3), (16, 8), (17, 9)])
def test_a_request_to_stop_keeps_the_last_whole_step(
    spec_of: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, micro_batch: int, step: int
) -> None:
    from training import trainer

    original, calls = trainer.supervised_loss, []

    def kill(model: Any, inputs: dict[str, Any]) -> Any:
        if len(calls) == micro_batch:
            os.kill(os.getpid(), signal.SIGTERM)
        calls.append(1)
        return original(model, inputs)

    monkeypatch.setattr(trainer, "supervised_loss", kill)
    spec, out = spec_of(hyperparameters={"lora_dropout": 0.2}), tmp_path / "out"
    assert run(spec, out) == 3
    assert result(out).stop_reason == "stopped on request (SIGTERM)"
    assert result(out).steps == step
    assert checkpoints_list(out)[0].name == f"step-{step:06d}"
    assert not (out / "model").exists()
    monkeypatch.setattr(trainer, "supervised_loss", original)
    assert run(spec, out) == run(spec, tmp_path / "through") == 0
    assert weights(out) == weights(tmp_path / "through")
