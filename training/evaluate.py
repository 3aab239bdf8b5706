"""Base against tuned model on held-out rows: loss per assistant token, and replies side by side.

Measures the model as it is on disk, loaded as a user would load it.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from training.artifacts import MODEL_FOLDER
from training.contract import Row, RunSpec
from training.contract.snapshot.reader import snapshot_rows
from training.encoding import Account, Document, Encoder
from training.errors import BadInput
from training.events import EventLog
from training.models import BaseModel, model_load, tokenizer_load, tuned_load

LOSS_CAPACITY = 1024


def documents_loss(
    model: Any, tokenizer: Any, documents: Sequence[Document], check: Callable[[], None] = lambda: None
) -> tuple[float, int]:
    """Mean loss in nats per supervised token, and the number of those tokens.

    The documents are packed: the loss is equal to that of single documents, and faster to compute.
    """
    import torch

    from training.packing import Collator, sequences_make
    from training.trainer import supervised_loss

    # A document is never cut here: the capacity grows with the longest one.
    capacity = max([LOSS_CAPACITY, *(len(d.input_ids) for d in documents)])
    collate = Collator(tokenizer.pad_token_id)
    total, tokens = 0.0, 0
    model.eval()
    with torch.inference_mode():
        for sequence in sequences_make(documents, capacity, True, 0):
            check()
            batch = {name: tensor.to(model.device) for name, tensor in collate([sequence]).items()}
            loss, count = supervised_loss(model, batch)
            total, tokens = total + float(loss), tokens + int(count)
    return total / max(tokens, 1), tokens


def evaluation_check(spec: RunSpec, tokenizer: Any, rows: Sequence[Row]) -> Account:
    """Account for the tokens of the rows to be measured, before training. Raises BadInput naming a row."""
    from training.generate import prompt_ids

    encoder = Encoder(tokenizer, spec.hyperparameters.max_length, spec.method)
    encoder.encode(rows)
    # Sample replies need a chat template; a base model for plain text may have none.
    if tokenizer.chat_template:
        for sample in _samples_begin(rows, spec):
            try:
                prompt_ids(tokenizer, sample["messages"], 1 << 30)
            except BadInput as error:
                raise BadInput(f"row {sample['id']!r} of the {spec.evaluation.split} split: {error}") from error
    return encoder.account


def evaluate(
    spec: RunSpec, base: BaseModel, folder: Path, rows: Sequence[Row], check: Callable[[], None] = lambda: None
) -> dict[str, Any]:
    """The `evaluation` of a RunResult; {} when no row can be measured."""
    tokenizer = tokenizer_load(base.path)
    encoder = Encoder(tokenizer, spec.hyperparameters.max_length, spec.method)
    documents = encoder.encode(rows)
    if not documents:
        return {}
    samples = _samples_begin(rows, spec)
    losses: dict[str, float] = {}
    tokens = 0
    # The base is measured in the same way and on the same rows, because only the difference says what training did.
    for who in ("base", "tuned"):
        check()
        model = model_load(base.path) if who == "base" else tuned_load(base, folder)
        losses[who], tokens = documents_loss(model, tokenizer, documents, check)
        _samples_answer(model, tokenizer, samples, f"{who}_reply", spec.evaluation.max_new_tokens, check)
        # Base and tuned model must not be in memory at the same time.
        del model
        gc.collect()
    return {
        "split": spec.evaluation.split, "rows": encoder.account.rows - len(encoder.account.refused),
        "base_loss": losses["base"], "tuned_loss": losses["tuned"], "tokens": tokens,
        "samples": [{k: v for k, v in sample.items() if k != "messages"} for sample in samples],
    }


def evaluation_of(
    spec: RunSpec, base: BaseModel, out: Path, events: EventLog, check: Callable[[], None]
) -> dict[str, Any]:
    """Measure OUT_DIR/model against its base; {} when the split has no rows."""
    split = spec.evaluation.split
    rows = snapshot_rows(Path(spec.snapshot.path), split, spec.evaluation.max_rows)
    if not rows:
        events.emit("log", message=f"no evaluation: the {split} split has no rows")
        return {}
    evaluation = evaluate(spec, base, out / MODEL_FOLDER, rows, check)
    if evaluation:
        events.emit("evaluation", **evaluation)
    else:
        events.emit("log", message=f"no evaluation: no row of the {split} split can be measured")
    return evaluation


def _samples_begin(rows: Sequence[Row], spec: RunSpec) -> list[dict[str, Any]]:
    """Prompt and reference reply of the first rows that end in a reply to learn from."""
    samples: list[dict[str, Any]] = []
    for row in rows:
        if len(samples) >= spec.evaluation.generate_rows:
            break
        at = max((i for i, m in enumerate(row.messages) if m.role == "assistant" and m.weight == 1), default=0)
        if at:
            before = [{"role": m.role, "content": m.content} for m in row.messages[:at]]
            samples.append({"id": row.id, "prompt": before, "reference": row.messages[at].content, "messages": before})
    return samples


def _samples_answer(
    model: Any, tokenizer: Any, samples: list[dict[str, Any]], key: str, max_new_tokens: int, check: Callable[[], None]
) -> None:
    from training.generate import replies

    if not samples or not tokenizer.chat_template:
        return
    answers = replies(model, tokenizer, [s["messages"] for s in samples], max_new_tokens, 4, check)
    for sample, answer in zip(samples, answers, strict=True):
        sample[key] = answer.text
