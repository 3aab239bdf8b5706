"""Whole runs of the tiny model in this process: the files of each, limits, divergence, a full disk."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training import builders
from tests.training.outputs import events, result, weights
from training import run as run_module
from training.artifacts import manifest_problems
from training.contract import SnapshotError
from training.errors import BadInput, Diverged, RunFailed
from training.run import evaluate_again, run
from training.signals import OUT_OF_MONEY

SpecOf = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.slow


def test_a_run_trains_evaluates_and_writes_complete_files(spec_of: SpecOf, tmp_path: Path) -> None:
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


def test_samples_show_both_replies(spec_of: SpecOf, tmp_path: Path) -> None:
    assert run(spec_of(evaluation={"generate_rows": 2}), tmp_path / "out") == 0
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


def test_early_stopping_ends_a_run_that_no_longer_gains(
    spec_of: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training import evaluate

    original, watched = evaluate.documents_loss, iter([5.0, 4.0, 4.5, 3.9, 4.0, 3.9])
    monkeypatch.setattr(evaluate, "documents_loss",
                        lambda model, *rest: (next(watched), 1) if model.training else original(model, *rest))
    out = tmp_path / "out"
    assert run(spec_of(hyperparameters={"eval_every": 1, "early_stopping_patience": 2}), out) == 0
    assert [e.data["eval_loss"] for e in events(out, "metric") if "eval_loss" in e.data] == [5, 4, 4.5, 3.9, 4, 3.9]
    assert result(out).stop_reason == "early stopping: no better validation loss in 2 evaluations"
    assert (result(out).status, result(out).steps) == ("done", 6)
    assert result(out).evaluation["tuned_loss"] < result(out).evaluation["base_loss"]


def test_the_validation_split_is_measured_while_training(spec_of: SpecOf, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(spec_of(hyperparameters={"eval_every": 8}), out) == 0
    measured = [(e.data["step"], e.data["eval_loss"]) for e in events(out, "metric") if "eval_loss" in e.data]
    assert [step for step, _ in measured] == [8, 16]
    assert measured[1][1] < measured[0][1]
    assert run(spec_of(), tmp_path / "unwatched") == 0
    assert weights(out) == weights(tmp_path / "unwatched")


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


def test_a_disk_that_fills_up_while_training_is_reported_and_the_run_resumes_later(
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
    with pytest.raises(BadInput, match="seed was 7, is 8"):
        run(spec_of(seed=8), out)
    spec = spec_of()
    (Path(spec["snapshot"]["path"]) / "more").write_text("x")
    with pytest.raises(SnapshotError, match="does not verify"):
        run(spec, out)
    shutil.rmtree(out / "checkpoints")
    (Path(spec["snapshot"]["path"]) / "more").unlink()
    with pytest.raises(BadInput, match="holds another run: seed was 7, is 8"):
        run(spec_of(seed=8), out)
    assert (out / "result.json").read_bytes() == before
    assert [p for p in manifest_problems(out) if "checkpoints" not in p] == []


def test_a_request_to_stop_during_evaluation_keeps_the_model_and_its_figures(
    spec_of: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training import evaluate

    def stop(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal was not obeyed at once")

    monkeypatch.setattr(evaluate, "documents_loss", stop)
    out = tmp_path / "out"
    assert run(spec_of(), out) == 3
    assert (result(out).status, result(out).stop_reason) == ("stopped", "stopped on request (SIGTERM)")
    assert (result(out).steps, result(out).tokens["trained"] > 0) == (16, True)
    assert (out / "model" / "adapter_model.safetensors").is_file()
    assert manifest_problems(out) == []


@pytest.mark.parametrize("moment", ["writing the model", "measuring"])
def test_a_budget_used_up_after_the_last_step_keeps_the_model_with_its_card(
    spec_of: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    from training import evaluate

    def spend(*values: Any) -> Any:
        os.kill(os.getpid(), signal.SIGUSR1)
        return write(*values)

    write = run_module.model_write
    if moment == "measuring":
        monkeypatch.setattr(evaluate, "documents_loss", spend)
    else:
        monkeypatch.setattr(run_module, "model_write", spend)
    out = tmp_path / "out"
    assert run(spec_of(), out) == 3
    found = result(out)
    assert (found.status, found.stop_reason, found.steps) == ("stopped", OUT_OF_MONEY, 16)
    assert found.evaluation == {}
    assert {"adapter_model.safetensors", "README.md"} <= {p.name for p in (out / "model").iterdir()}
    assert manifest_problems(out) == []
    assert f"no evaluation: {OUT_OF_MONEY}" in (out / "events.jsonl").read_text()


def test_a_budget_used_up_while_the_run_finishes_changes_nothing(
    spec_of: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = run_module.card_write
    monkeypatch.setattr(run_module, "card_write", lambda *a: (os.kill(os.getpid(), signal.SIGUSR1), write(*a)))
    assert run(spec_of(), tmp_path / "out") == 0
    assert result(tmp_path / "out").status == "done"


def test_a_budget_used_up_during_evaluation_ends_it(
    spec_of: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.contract.spec import Limits

    # Used up as soon as training is over.
    monkeypatch.setattr(Limits, "used_up", lambda limits, _: "max_cost: all spent" if seen else "")
    seen: list[int] = []
    original = run_module.model_write
    monkeypatch.setattr(run_module, "model_write", lambda *a: (seen.append(1), original(*a))[1])
    out = tmp_path / "out"
    assert run(spec_of(limits={"max_cost": 1, "cost_per_hour": 1}), out) == 3
    assert (result(out).stop_reason, result(out).evaluation, result(out).steps) == ("max_cost: all spent", {}, 16)
    assert manifest_problems(out) == []


def test_files_left_half_written_by_a_kill_are_removed_by_the_next_attempt(spec_of: SpecOf, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(spec_of(limits={"max_steps": 2}), out) == 3
    for name in (".model.tmp", "checkpoints/.step-000003.tmp", "checkpoints/.step-000003.old"):
        (out / name).mkdir()
        (out / name / "half").write_text("x")
    (out / ".result.json.tmp").write_text("{")
    assert run(spec_of(), out) == 0
    assert list(out.rglob(".*")) == []


def test_the_card_carries_the_metadata_that_hubs_read(spec_of: SpecOf, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    assert run(spec_of(), tmp_path / "out") == 0
    card = ModelCard.load(tmp_path / "out" / "model" / "README.md").data
    assert (card.license, card.library_name, card.base_model) == ("cc0-1.0", "peft", "tiny")
    assert (card.datasets, card.metrics, card.model_name) == (["sample"], ["loss"], "run-1")
    measured = result(tmp_path / "out").evaluation
    values = {r.metric_name: r.metric_value for r in card.eval_results or []}
    assert values == {"nats per assistant token": measured["tuned_loss"],
                      "the same of the base model": measured["base_loss"]}
    assert {r.dataset_split for r in card.eval_results or []} == {"test"}


@pytest.mark.parametrize(("rows", "base", "head"), [
    ("CC0-1.0", "", ("other", "CC0-1.0, not stated")), ("", "Apache-2.0", ("other", "Apache-2.0, not stated")),
    ("MIT", "Apache-2.0", ("other", "Apache-2.0, MIT")), ("Apache-2.0", "Apache-2.0", ("apache-2.0", None)),
    ("", "", ("unknown", None)),
])
def test_the_card_states_no_licence_that_only_a_part_has(
    spec_of: SpecOf, tiny: Path, tmp_path: Path, rows: str, base: str, head: tuple[str, str | None]
) -> None:
    from huggingface_hub import ModelCard

    from training.artifacts import card_write
    from training.contract import RunSpec
    from training.models import base_find
    from training.results import result_begin

    (tmp_path / "model").mkdir()
    spec = RunSpec.from_json(spec_of())
    found = dataclasses.replace(base_find(str(tiny)), license=base)
    card_write(tmp_path, spec, found, result_begin(spec), {"licenses": {rows: 3}})
    card = ModelCard.load(tmp_path / "model" / "README.md").data
    assert (card.license, card.license_name) == head
    assert card.eval_results is None  # Nothing was measured.


def test_a_run_of_one_step_learns(spec_of: SpecOf, tmp_path: Path) -> None:
    spec = spec_of(builders.rows(2, 0, 2), hyperparameters={"epochs": 1, "gradient_accumulation": 8})
    assert run(spec, tmp_path / "out") == 0
    done = result(tmp_path / "out")
    assert (done.steps, done.evaluation["tuned_loss"] < done.evaluation["base_loss"]) == (1, True)


def test_no_pickle_is_read_or_written_from_start_to_end(
    spec_of: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("a pickle")

    for module, name in ((torch, "load"), (torch, "save"), (pickle, "load"), (pickle, "loads")):
        monkeypatch.setattr(module, name, forbidden)
    out, spec = tmp_path / "out", spec_of(evaluation={"generate_rows": 1})
    assert run(spec | {"limits": {"max_steps": 3}}, out) == 3
    assert run(spec, out) == 0
    assert evaluate_again(spec, out) == 0
    kinds = {p.suffix for p in out.rglob("*") if p.is_file()}
    assert kinds == {".json", ".jsonl", ".jinja", ".md", ".safetensors"}


def test_evaluating_with_another_specification_is_refused(spec_of: SpecOf, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(spec_of(), out) == 0
    with pytest.raises(BadInput, match="holds another run: method was 'sft', is 'continued_pretraining'"):
        evaluate_again(spec_of(method="continued_pretraining"), out)
    assert manifest_problems(out) == []


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


def test_evaluating_again_gives_the_same_figures(spec_of: SpecOf, tmp_path: Path) -> None:
    out = tmp_path / "out"
    spec = spec_of(evaluation={"generate_rows": 2})
    assert run(spec, out) == 0
    before = result(out).evaluation
    assert evaluate_again(spec, out) == 0
    assert result(out).evaluation == before
    assert manifest_problems(out) == []
