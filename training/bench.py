"""Figures of the trainer, each as a JSON-able line: `python -m training bench NAME`.

`trainer_real_tokens_per_s`: 64 dialogues written for this purpose through the real training loop with LoRA (r=16, all
linear layers), tokens without padding over the seconds inside optimiser steps, all of them.
`merkle_leaves_per_s`: rows to canonical JSON, leaf hashes and root.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from training.contract import MerkleTree, Row, RunSpec, leaf_hash, row_from_json
from training.models import base_find, models_dir

REAL_MODEL = "smollm2-135m-instruct"
DIALOGUES = 64
LEAVES = 50_000


def bench(name: str, *, beside_defaults: bool = False) -> Iterator[dict[str, Any]]:
    """Measure one figure; yields lines `{"bench", "value", "unit", "backend", "n"}` with what explains them."""
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "merkle_leaves_per_s": merkle_leaves_per_s, "trainer_real_tokens_per_s": trainer_real_tokens_per_s,
    }
    yield {"bench": name, "backend": "none"} | measures[name]()
    if beside_defaults and name == "trainer_real_tokens_per_s":
        yield {"bench": f"{name}_bfloat16", "backend": "none"} | trainer_real_tokens_per_s("bfloat16")
        yield {"bench": "trl_defaults_real_tokens_per_s", "backend": "none"} | trl_defaults_real_tokens_per_s()


def dialogues(count: int) -> list[Row]:
    """Support dialogues of 60 to 180 tokens, the same every time; made of the text that the tiny model learns."""
    from training.base_models import TINY_TEXT

    rows = []
    for number in range(count):
        # One generator per dialogue, so that the first rows are the same whatever the count.
        chance = random.Random(number)  # noqa: S311 - the dialogues must be the same every time, not secret
        turns = [{"role": "system", "content": "You are a helpful agent of the support team.", "weight": 0}]
        for _ in range(chance.choice((1, 1, 2, 2, 3))):
            turns.append({"role": "user", "content": chance.choice(TINY_TEXT), "weight": 0})
            turns.append({"role": "assistant", "content": chance.choice(TINY_TEXT), "weight": 0})
        turns[-1]["weight"] = 1
        rows.append(row_from_json({"id": f"d{number:06d}", "split": "train", "group": f"g{number}",
                                   "messages": turns}))
    return rows


def merkle_leaves_per_s(count: int = LEAVES) -> dict[str, Any]:
    """Leaves per second, from rows in memory to the root."""
    rows = dialogues(1000)
    started = time.perf_counter()
    tree = MerkleTree()
    for number in range(count):
        tree.append(leaf_hash(rows[number % 1000].canonical()))
    tree.root()
    return {"value": round(count / (time.perf_counter() - started), 1), "unit": "leaves/s", "n": count}


def model_name() -> str:
    """The real model's name; makes its folder if needed, because figures of the tiny model would say nothing."""
    from training.base_models import base_model_make

    base_model_make(REAL_MODEL, models_dir() / REAL_MODEL)
    return REAL_MODEL


def trainer_real_tokens_per_s(precision: str = "auto") -> dict[str, Any]:
    """Real tokens per second of this trainer."""
    from training.encoding import Encoder
    from training.events import EventLog
    from training.models import model_load, tokenizer_load
    from training.trainer import plan_make, train

    name = model_name()
    # Checkpoints are so rare that none falls into the measured steps.
    spec, base = RunSpec.from_json({
        "run_id": "bench", "base_model": name, "snapshot": {"path": ".", "merkle_root": "0" * 64},
        "hyperparameters": {"checkpoint_every": 10**9, "batch_size": 4, "max_length": 512, "epochs": 1,
                            "precision": precision},
    }), base_find(name)
    tokenizer = tokenizer_load(base.path)
    encoder = Encoder(tokenizer, spec.hyperparameters.max_length)
    plan = plan_make(spec, encoder.encode(dialogues(DIALOGUES)))
    with tempfile.TemporaryDirectory() as folder, EventLog(Path(folder)) as events:
        outcome = train(spec, base, model_load(base.path), tokenizer, plan, Path(folder), events, resume=None,
                        started=time.monotonic(), should_stop=lambda: "")
    counts = encoder.account
    speed, weights = outcome.speed["real_tokens_per_s"], sum(p.numel() for p in outcome.model.parameters())
    gemm = gemm_flops_per_s(precision == "bfloat16")
    return {
        "value": round(speed, 1), "unit": "tokens/s", "n": counts.kept, "model": name,
        "real_token_ratio": round(outcome.speed["real_token_ratio"], 4),
        "useful_token_ratio": round(counts.supervised / max(outcome.progress.processed, 1), 4),
        # 4 FLOPs a weight and token: forward, and backward to the activations; the frozen base has no gradients.
        "gemm_gflops": round(gemm / 1e9, 1), "mfu": round(speed * 4 * weights / gemm, 3),
        "pack_fill": round(outcome.speed["pack_fill"], 4), "peak_memory_gb": peak_memory_gb(),
    }


def trl_defaults_real_tokens_per_s() -> dict[str, Any]:
    """The same dialogues through SFTTrainer as its documentation starts it: a model, rows, a PEFT config."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import PrinterCallback
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    from training.models import model_load, tokenizer_load

    name = model_name()
    base = base_find(name)
    tokenizer = tokenizer_load(base.path)
    rows = [{"messages": [{"role": m.role, "content": m.content} for m in r.messages]} for r in dialogues(DIALOGUES)]
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=model_load(base.path), train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
            args=SFTConfig(output_dir=folder, num_train_epochs=1, report_to=[], save_strategy="no", disable_tqdm=True,
                           use_cpu=True, bf16=False, seed=0),
            peft_config=LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"),
        )
        trainer.remove_callback(PrinterCallback)
        prepared: Any = trainer.train_dataset
        # Real tokens, as for our own figure: padding is not counted.
        tokens = sum(len(ids) for ids in prepared["input_ids"])
        started = time.monotonic()
        trainer.train()
        seconds = time.monotonic() - started
    return {"value": round(tokens / seconds, 1), "unit": "tokens/s", "n": tokens, "model": name,
            "peak_memory_gb": peak_memory_gb()}


def gemm_flops_per_s(bfloat16: bool) -> float:
    """FLOP/s of a matrix product with the model's shape and the run's precision on this machine, measured now."""
    import torch

    kind = torch.bfloat16 if bfloat16 else torch.float32
    a, b = torch.randn(512, 1536).to(kind), torch.randn(1536, 576).to(kind)
    # The first rounds only warm up: threads start and frequencies rise.
    for rounds in (5, 100):
        started = time.perf_counter()
        for _ in range(rounds):
            torch.mm(a, b)
        seconds = time.perf_counter() - started
    return 100 * 2 * 512 * 1536 * 576 / seconds


def peak_memory_gb() -> float:
    """The most memory this process has held so far (resident set), in GB."""
    import resource

    # Linux reports KiB here.
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2)
