"""Checkpoints in safetensors and JSON, written atomically, so that resuming is bit-exact and needs no pickle.

transformers' own checkpoints keep optimiser and random state in `torch.save` files, and write into the final
folder; these replace them. A checkpoint holds the trainable weights, the optimiser's tensors, the schedule, every
random generator and the counters, and is read back only if each file matches the manifest that was written last.
"""

from __future__ import annotations

import json
import random
import re
import shutil
from pathlib import Path
from typing import Any

from training.artifacts import folder_replace, json_write, manifest_problems, manifest_write
from training.contract import RunSpec
from training.contract.files import is_folder
from training.errors import BadInput
from training.models import BaseModel

FOLDER = "checkpoints"
KEPT = 2
STATE_FILE = "state.json"
WEIGHTS_FILE = "weights.safetensors"
OPTIMIZER_FILE = "optimizer.safetensors"
TRAINER_STATE_FILE = "trainer_state.json"
NAME = re.compile(r"step-(\d{6,})")

# These may differ between attempts, because they do not change the weights that come out.
FREE_FIELDS = ("run_id", "limits", "evaluation", "resume_from", "snapshot.path", "base_model", "base_revision")
FREE_HYPERPARAMETERS = ("checkpoint_every", "log_every", "gradient_checkpointing")


def fingerprint(spec: RunSpec, base: BaseModel) -> dict[str, Any]:
    """The part of the specification that two attempts must share for one to resume the other."""
    value = {k: v for k, v in spec.to_json().items() if k not in FREE_FIELDS}
    # The root and not the path: another attempt may find the same rows in another folder or on another machine.
    value["snapshot"] = spec.snapshot.merkle_root
    value["base_revision"] = base.revision
    value["hyperparameters"] = {k: v for k, v in value["hyperparameters"].items() if k not in FREE_HYPERPARAMETERS}
    return value


def checkpoint_save(
    out: Path, step: int, *, model: Any, optimizer: Any, scheduler: Any, trainer_state: Any, extra: dict[str, Any]
) -> Path:
    """Write OUT_DIR/checkpoints/step-NNNNNN, weights first, manifest last, then the rename. Keeps the newest two."""
    from safetensors.torch import save_file

    target = out / FOLDER / f"step-{step:06d}"
    with folder_replace(target) as work:
        # Frozen base weights are not stored, because the base model's revision identifies them.
        weights = {n: p.detach().cpu().contiguous() for n, p in model.named_parameters() if p.requires_grad}
        save_file(weights, work / WEIGHTS_FILE)
        tensors, plain = _optimizer_split(optimizer.state_dict())
        save_file(tensors, work / OPTIMIZER_FILE)
        json_write(work / STATE_FILE, {
            "step": step, "optimizer": plain, "scheduler": scheduler.state_dict(), **extra,
        })
        trainer_state.save_to_json(str(work / TRAINER_STATE_FILE))
        manifest_write(work, {"step": step})
    for old in checkpoints_list(out)[KEPT:]:
        # After the rename, so that a kill leaves one checkpoint too many and never one too few.
        shutil.rmtree(old, ignore_errors=True)
    return target


def checkpoints_list(out: Path) -> list[Path]:
    """Checkpoint folders by name, newest first, without verifying them."""
    folder = out / FOLDER
    found = [p for p in folder.iterdir() if NAME.fullmatch(p.name) and p.is_dir()] if is_folder(folder) else []
    return sorted(found, key=lambda p: int(p.name[5:]), reverse=True)


def checkpoint_find(out: Path, resume_from: str | None, mark: dict[str, Any]) -> tuple[Path | None, list[str]]:
    """The checkpoint to resume from (None to start anew), and why others were skipped.

    The newest intact one of OUT_DIR, else the one that `resume_from` names (a checkpoint, or a run's folder). Raises
    BadInput when it belongs to another specification, or when `resume_from` names no intact one.
    """
    passed: list[str] = []
    # OUT_DIR first: its own checkpoints are further than the one that the run was started from.
    for path in checkpoints_list(out):
        problems = manifest_problems(path)
        if not problems:
            _same_run_check(path, mark)
            return path, passed
        passed.append(f"{path.name} is not whole ({problems[0]})")
    if resume_from is None:
        return None, passed
    source = Path(resume_from)
    candidates = [source] if NAME.fullmatch(source.name) else checkpoints_list(source)
    for path in candidates:
        if is_folder(path) and not manifest_problems(path):
            _same_run_check(path, mark)
            return path, passed
    raise BadInput(f"resume_from {resume_from[:200]!r} holds no whole checkpoint; name a step-NNNNNN folder or clear "
                   "it")


def _same_run_check(path: Path, mark: dict[str, Any]) -> None:
    """Refuse a checkpoint of another specification, naming the first field that differs. Raises BadInput."""
    stored = state_read(path).get("fingerprint")
    if stored == mark:
        return
    was, now = _flat(stored if isinstance(stored, dict) else {}), _flat(mark)
    name = next((k for k in sorted(was.keys() | now.keys()) if was.get(k) != now.get(k)), "all")
    raise BadInput(
        f"checkpoint {path} is of another specification: {name} was {was.get(name)!r}, is {now.get(name)!r}; "
        "use an empty folder or the same specification"
    )


def _flat(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flat(item, f"{prefix}{key}.") if isinstance(item, dict) else {prefix + key: item}
    return flat


def state_read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint's state.json."""
    state: dict[str, Any] = json.loads((path / STATE_FILE).read_bytes())
    return state


def weights_load(path: Path, model: Any) -> None:
    """Restore the trainable weights in place, each by name. Raises BadInput when the names differ."""
    import torch
    from safetensors.torch import load_file

    saved = load_file(path / WEIGHTS_FILE)
    wanted = {n: p for n, p in model.named_parameters() if p.requires_grad}
    if saved.keys() != wanted.keys():
        odd = sorted(saved.keys() ^ wanted.keys())[0]
        raise BadInput(f"checkpoint {path} does not fit the model: {odd} is on one side only; use the same recipe")
    with torch.no_grad():
        for name, parameter in wanted.items():
            # Copied in place, because the optimiser holds references to these very parameters.
            parameter.copy_(saved[name])


def optimizer_load(path: Path, optimizer: Any, scheduler: Any) -> None:
    """Restore optimiser and schedule."""
    from safetensors.torch import load_file

    state = state_read(path)
    tensors = load_file(path / OPTIMIZER_FILE)
    # The optimiser numbers its parameters; JSON keys and tensor names are text.
    slots: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        number, key = name.split(".", 1)
        slots.setdefault(int(number), {})[key] = tensor
    for number, values in state["optimizer"]["state"].items():
        slots.setdefault(int(number), {}).update(values)
    # JSON has no tuples, and AdamW compares betas with one.
    groups = [{k: tuple(v) if k == "betas" else v for k, v in g.items()} for g in state["optimizer"]["param_groups"]]
    optimizer.load_state_dict({"state": slots, "param_groups": groups})
    scheduler.load_state_dict(state["scheduler"])


def random_restore(path: Path) -> None:
    """Restore the random generators to their state after the checkpoint's step."""
    import numpy as np
    import torch

    state = state_read(path)["random"]
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    kind, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), position, has_gauss, cached))
    torch.random.set_rng_state(_byte_tensor(state["torch"]))
    # A run may resume on a machine without a GPU; there its GPU generators have no use.
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([_byte_tensor(s) for s in state["cuda"]])


def _optimizer_split(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """An optimiser's state as tensors by "<parameter>.<key>", and everything else as JSON values."""
    import torch

    tensors: dict[str, Any] = {}
    rest: dict[str, dict[str, Any]] = {}
    for number, values in state["state"].items():
        for key, value in values.items():
            if torch.is_tensor(value):
                tensors[f"{number}.{key}"] = value.detach().cpu().contiguous()
            else:
                rest.setdefault(str(number), {})[key] = value
    groups = [{k: list(v) if isinstance(v, tuple) else v for k, v in g.items()} for g in state["param_groups"]]
    return tensors, {"state": rest, "param_groups": groups}


def random_state() -> dict[str, Any]:
    """Python's, numpy's and torch's random generators as JSON values."""
    import numpy as np
    import torch

    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    state = {
        # As JSON values: a pickle would run code that a writer to the work folder chose.
        "python": [version, list(words), gauss],
        "numpy": [str(kind), [int(k) for k in keys], int(position), int(has_gauss), float(cached)],
        "torch": torch.random.get_rng_state().numpy().tobytes().hex(),
    }
    if torch.cuda.is_available():
        state["cuda"] = [s.numpy().tobytes().hex() for s in torch.cuda.get_rng_state_all()]
    return state


def _byte_tensor(text: str) -> Any:
    import torch

    return torch.tensor(list(bytes.fromhex(text)), dtype=torch.uint8)
