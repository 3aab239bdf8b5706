"""Snapshot folders, specifications and models for the trainer's tests; written by hand from the format's
description, and not with the product's writer, so that a mistake there is found."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import rfc8785

from training.contract import SPLITS, Row, leaf_hash, merkle_root, row_from_json

SCHEMA = pa.schema([
    *((name, pa.string()) for name in ("id", "split", "group", "label", "license", "source", "provenance")),
    ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string()), ("weight", pa.int8())]))),
    ("extra", pa.string()),
])

THINGS = ("lamp", "parcel", "invoice", "kettle", "chair", "ticket", "camera", "table", "phone", "coat")
ASKS = ("Where is my {}?", "I want to return the {}.", "The {} is broken. What now?", "Was the {} paid for?")
ANSWERS = ("Your {} is on its way.", "Please send the {} back within thirty days.", "We replace the {} at once.",
           "Yes, the {} is paid for.")


def message(role: str, content: str, weight: int = 0) -> dict[str, Any]:
    return {"role": role, "content": content, "weight": weight}


def row(number: int, split: str = "train", **changes: Any) -> dict[str, Any]:
    """A small conversation; every third has an earlier assistant turn as context."""
    chance = random.Random(number)
    thing, kind = chance.choice(THINGS), chance.randrange(len(ASKS))
    messages = [message("system", "You are a helpful agent."), message("user", ASKS[kind].format(thing))]
    if number % 3 == 0:
        messages += [message("assistant", "Hello, I look into it."), message("user", "Thank you, I wait.")]
    messages += [message("assistant", ANSWERS[kind].format(thing) + " Have a good day." * (number % 4), 1)]
    return {"id": f"ex-{number:05d}", "split": split, "group": f"g{number}", "label": "", "license": "CC0-1.0",
            "source": "sample", "provenance": f"p{number}", "messages": messages, "extra": {}} | changes


def rows(train: int = 24, validation: int = 4, test: int = 6) -> list[dict[str, Any]]:
    sizes = {"train": train, "validation": validation, "test": test}
    found: list[dict[str, Any]] = []
    for split in SPLITS:
        found += [row(len(found) + i, split) for i in range(sizes[split])]
    return found


def snapshot(folder: Path, records: list[dict[str, Any]] | None = None, **manifest: Any) -> tuple[Path, str]:
    """Write a snapshot folder; returns it and its Merkle root (hex). Rows keep their order inside their split."""
    folder.mkdir(parents=True, exist_ok=True)
    records = rows() if records is None else records
    leaves, splits = [], {}
    for split in SPLITS:
        mine = [r for r in records if r["split"] == split]
        leaves += [leaf_hash(rfc8785.dumps(row_from_json(r).to_json())) for r in mine]
        path = folder / f"{split}.parquet"
        pq.write_table(pa.Table.from_pylist([r | {"extra": json.dumps(r["extra"])} for r in mine], SCHEMA), path)
        data = path.read_bytes()
        splits[split] = {"file": path.name, "rows": len(mine), "bytes": len(data),
                         "sha256": hashlib.sha256(data).hexdigest()}
    root = merkle_root(leaves).hex()
    document = {"schema": "flywheel.snapshot/1", "name": "sample", "purpose": "sft", "region": "eu", "seed": 1,
                "merkle_root": root, "rows": len(records), "splits": splits, "gate": {"cleared": 1, "refused": {}},
                "licenses": {"CC0-1.0": len(records)}, "share_alike": False, "token_statistics": {}} | manifest
    (folder / "manifest.json").write_text(json.dumps(document))
    return folder, root


def spec(folder: Path, root: str, base: Path, **changes: Any) -> dict[str, Any]:
    """A RunSpec as JSON: a few steps of the tiny model. `hyperparameters` and the like are merged."""
    value: dict[str, Any] = {
        "run_id": "run-1", "base_model": str(base), "snapshot": {"path": str(folder), "merkle_root": root},
        "hyperparameters": {"epochs": 2, "learning_rate": 0.01, "batch_size": 1, "gradient_accumulation": 2,
                            "max_length": 128, "checkpoint_every": 2, "lora_r": 4, "lora_alpha": 8},
        "evaluation": {"generate_rows": 0, "max_new_tokens": 8}, "seed": 7,
    }
    for key, change in changes.items():
        value[key] = {**value.get(key, {}), **change} if isinstance(change, dict) else change
    return value


def as_row(value: dict[str, Any]) -> Row:
    return row_from_json(value)
