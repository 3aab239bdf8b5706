"""The loop: an accumulated window's gradient is the full batch's, and divergence is seen before it does harm."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest

from tests.training import builders
from training.contract import RunSpec
from training.encoding import Encoder
from training.errors import Diverged
from training.events import EventLog
from training.models import base_find, model_load
from training.packing import Collator

# torch and the loop over it are imported by the tests that need them, so that collecting them does not.
pytestmark = pytest.mark.slow


class Recorder:
    """Keeps the gradients that each optimiser step sees."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from training import trainer as under_test

        self.windows: list[dict[str, Any]] = []
        original = under_test.Watch.on_pre_optimizer_step

        def record(watch: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            self.windows.append({n: p.grad.clone() for n, p in kwargs["model"].named_parameters()})
            original(watch, args, state, control, **kwargs)

        monkeypatch.setattr(under_test.Watch, "on_pre_optimizer_step", record)


def plan_of(spec: RunSpec, tokenizer: Any, records: list[dict[str, Any]]) -> Any:
    from training.trainer import plan_make

    encoder = Encoder(tokenizer, spec.hyperparameters.max_length)
    return plan_make(spec, encoder.encode([builders.as_row(r) for r in records]))


@pytest.mark.parametrize("packing", [True, False])
def test_an_accumulated_gradient_equals_the_full_batchs_in_the_last_partial_window_too(
    tiny: Path, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: bool
) -> None:
    import torch

    from training.epoch_order import EpochOrder
    from training.trainer import supervised_loss, train

    spec = RunSpec.from_json(builders.spec(
        tmp_path, "0" * 64, tiny, tuning="full", hyperparameters={
            "epochs": 1, "batch_size": 2, "gradient_accumulation": 3, "max_grad_norm": 0, "packing": packing,
            "learning_rate": 1e-9, "checkpoint_every": 1000,
        },
    ))
    plan = plan_of(spec, tokenizer, [builders.row(i) for i in range(11)])
    sequences, window = len(plan.sequences), 6
    assert sequences % window, "the last window is to be a partial one"
    recorder = Recorder(monkeypatch)
    with EventLog(tmp_path) as events:
        train(spec, base_find(str(tiny)), model_load(tiny), tokenizer, plan, tmp_path, events, resume=None,
              started=time.monotonic(), should_stop=lambda: "")
    assert len(recorder.windows) == plan.total_steps == math.ceil(sequences / window)
    order = list(EpochOrder(sequences, spec.seed, lambda: 0))
    collate = Collator(tokenizer.pad_token_id)
    for number, gradients in enumerate(recorder.windows):
        batch = collate([plan.sequences[i] for i in order[number * window : (number + 1) * window]])
        model = model_load(tiny)
        total, count = supervised_loss(model, {k: v for k, v in batch.items() if k != "real_tokens"})
        (total / count).backward()
        for name, parameter in model.named_parameters():
            assert torch.allclose(parameter.grad, gradients[name], atol=1e-5), (number, name)


def test_each_epoch_has_its_own_order_and_always_the_same() -> None:
    from training.epoch_order import EpochOrder

    first, again, second = (list(EpochOrder(50, 3, lambda e=e: e)) for e in (0, 0, 1))  # type: ignore[misc]
    assert first == again != second
    assert sorted(second) == list(range(50))


def test_a_gradient_that_is_not_finite_never_reaches_the_weights(
    tiny: Path, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from training import trainer as under_test

    spec = RunSpec.from_json(builders.spec(tmp_path, "0" * 64, tiny, tuning="full"))
    plan = plan_of(spec, tokenizer, builders.rows())
    model = model_load(tiny)
    original = under_test.supervised_loss
    calls = []

    def poisoned(network: Any, inputs: dict[str, Any]) -> tuple[Any, Any]:
        total, count = original(network, inputs)
        calls.append(1)
        return (total * float("nan"), count) if len(calls) > 2 * 3 else (total, count)

    monkeypatch.setattr(under_test, "supervised_loss", poisoned)
    with EventLog(tmp_path) as events, pytest.raises(Diverged, match="the loss is nan in step 4; lower learning_rate"):
        under_test.train(spec, base_find(str(tiny)), model, tokenizer, plan, tmp_path, events, resume=None,
                         started=time.monotonic(), should_stop=lambda: "")
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-000002"]
