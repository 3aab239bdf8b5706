"""A run that is interrupted anywhere and resumed ends with the same losses and weights as an uninterrupted one."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training import builders
from tests.training.outputs import events, losses, result, weights
from training.checkpoints import checkpoints_list
from training.errors import BadInput
from training.run import run
from training.signals import OUT_OF_MONEY

SpecOf = Callable[..., dict[str, Any]]
DROPOUT: dict[str, Any] = {"hyperparameters": {"lora_dropout": 0.2, "checkpoint_every": 50}}

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def through(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder of an uninterrupted run, made once for each specification."""
    folder, root = builders.snapshot(tmp_path_factory.mktemp("through") / "snapshot")
    made: dict[str, Path] = {}

    def run_through(**changes: Any) -> Path:
        key = repr(changes)
        if key not in made:
            out = folder.parent / str(len(made))
            assert run(builders.spec(folder, root, tiny, **changes), out) == 0
            made[key] = out
        return made[key]

    return run_through


@pytest.mark.parametrize("cut", [3, 8, 11])
@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_resuming_is_bit_exact_in_the_middle_of_an_epoch_and_at_its_end(
    spec_of: SpecOf, through: Callable[..., Path], tmp_path: Path, cut: int, tuning: str
) -> None:
    changes, whole = DROPOUT | {"tuning": tuning}, through(**DROPOUT, tuning=tuning)
    assert run(spec_of(**changes, limits={"max_steps": cut}), tmp_path / "cut") == 3
    assert result(tmp_path / "cut").stop_reason == f"max_steps: {cut} of 16 steps done"
    assert run(spec_of(**changes), tmp_path / "cut") == 0
    assert losses(tmp_path / "cut") == losses(whole)
    assert weights(tmp_path / "cut") == weights(whole)
    assert result(tmp_path / "cut").resumed_from_step == cut
    assert result(tmp_path / "cut").tokens == result(whole).tokens


def test_losses_logged_in_windows_survive_an_interruption_inside_a_window(
    spec_of: SpecOf, through: Callable[..., Path], tmp_path: Path
) -> None:
    changes = {"hyperparameters": {"log_every": 5}}
    assert run(spec_of(**changes, limits={"max_steps": 7}), tmp_path / "cut") == 3
    assert run(spec_of(**changes), tmp_path / "cut") == 0
    assert losses(tmp_path / "cut") == losses(through(**changes))


def test_a_run_resumes_from_another_runs_checkpoint(
    spec_of: SpecOf, through: Callable[..., Path], tmp_path: Path
) -> None:
    assert run(spec_of(limits={"max_steps": 5}), tmp_path / "first") == 3
    assert run(spec_of(resume_from=str(tmp_path / "first")), tmp_path / "second") == 0
    assert weights(tmp_path / "second") == weights(through())
    folder = tmp_path / "first" / "checkpoints" / "step-000004"
    assert run(spec_of(resume_from=str(folder)), tmp_path / "third") == 0
    assert (result(tmp_path / "third").resumed_from_step, weights(tmp_path / "third")) == (4, weights(through()))


def test_a_half_written_checkpoint_is_skipped(
    spec_of: SpecOf, through: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(spec_of(limits={"max_steps": 6}), out) == 3
    newest = out / "checkpoints" / "step-000006"
    (newest / "weights.safetensors").write_bytes(b"half")
    shutil.copytree(newest, out / "checkpoints" / "step-000008")
    (out / "checkpoints" / "step-000008" / "manifest.json").unlink()
    assert run(spec_of(), out) == 0
    assert result(out).resumed_from_step == 4
    assert weights(out) == weights(through())
    said = [e.data["message"] for e in events(out, "log")]
    assert [m.split(" is not whole")[0][-11:] for m in said if "not whole" in m] == ["step-000008", "step-000006"]


def test_checkpoints_of_another_recipe_are_refused_by_field(spec_of: SpecOf, tmp_path: Path) -> None:
    assert run(spec_of(limits={"max_steps": 2}), tmp_path / "out") == 3
    with pytest.raises(BadInput, match=r"hyperparameters.learning_rate was 0.01, is 0.02"):
        run(spec_of(hyperparameters={"learning_rate": 0.02}), tmp_path / "out")


@pytest.mark.parametrize(("micro_batch", "step"), [(0, 0), (1, 1), (4, 2), (17, 9)])
def test_a_used_up_budget_keeps_the_weights_of_the_last_whole_step_as_the_model(
    spec_of: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, micro_batch: int, step: int
) -> None:
    from safetensors.numpy import load_file

    from training import trainer

    original, calls = trainer.supervised_loss, []

    def spend(model: Any, inputs: dict[str, Any]) -> Any:
        if len(calls) == micro_batch:
            os.kill(os.getpid(), signal.SIGUSR1)
        calls.append(1)
        return original(model, inputs)

    monkeypatch.setattr(trainer, "supervised_loss", spend)
    out = tmp_path / "out"
    assert run(spec_of(**DROPOUT), out) == 3
    found = result(out)
    assert (found.status, found.stop_reason, found.steps) == ("stopped", OUT_OF_MONEY, step)
    assert found.evaluation == {}
    if not step:
        assert not (out / "model").exists()
        return
    kept = load_file(checkpoints_list(out)[0] / "weights.safetensors")
    model = load_file(out / "model" / "adapter_model.safetensors")
    assert {n.replace(".default", ""): v.tobytes() for n, v in kept.items()} == {n: v.tobytes() for n, v in model.items()}
    assert len(events(out, "metric")) == step


def test_a_used_up_budget_interrupts_a_validation_and_keeps_the_weights(
    spec_of: SpecOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training import evaluate

    original = evaluate.documents_loss

    def spend(model: Any, tokenizer: Any, documents: Any, check: Any) -> Any:
        os.kill(os.getpid(), signal.SIGUSR1)
        return original(model, tokenizer, documents, check)

    monkeypatch.setattr(evaluate, "documents_loss", spend)
    out = tmp_path / "out"
    assert run(spec_of(hyperparameters={"eval_every": 3}), out) == 3
    assert (result(out).steps, result(out).stop_reason) == (3, OUT_OF_MONEY)
    assert (out / "model" / "adapter_model.safetensors").is_file()
    assert [e for e in events(out, "metric") if "eval_loss" in e.data] == []


@pytest.mark.parametrize(("micro_batch", "step"), [(0, 0), (1, 1), (4, 2), (5, 3), (16, 8), (17, 9)])
def test_a_request_to_stop_keeps_the_last_whole_step(
    spec_of: SpecOf, through: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, micro_batch: int,
    step: int,
) -> None:
    from training import trainer

    whole = through(**DROPOUT)
    original, calls = trainer.supervised_loss, []

    def kill(model: Any, inputs: dict[str, Any]) -> Any:
        if len(calls) == micro_batch:
            os.kill(os.getpid(), signal.SIGTERM)
        calls.append(1)
        return original(model, inputs)

    monkeypatch.setattr(trainer, "supervised_loss", kill)
    spec, out = spec_of(**DROPOUT), tmp_path / "out"
    assert run(spec, out) == 3
    assert result(out).stop_reason == "stopped on request (SIGTERM)"
    assert result(out).steps == step
    assert checkpoints_list(out)[0].name == f"step-{step:06d}"
    assert not (out / "model").exists()
    monkeypatch.setattr(trainer, "supervised_loss", original)
    assert run(spec, out) == 0
    assert weights(out) == weights(whole)
    assert losses(out) == losses(whole)
