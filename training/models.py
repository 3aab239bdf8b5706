"""Base models on disk: finding them, checking their revision, loading weights and tokenizer from safetensors.

Never opens a pickle and never asks a hub.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.contract.files import file_sha256, is_folder
from training.errors import BadInput

REVISION_FILE = "revision.json"
MODELS_ENV = "FLYWHEEL_MODELS_DIR"


@dataclass(frozen=True, slots=True)
class BaseModel:
    """A complete model folder: its name, and the digest over its files."""

    path: Path
    name: str
    revision: str
    weight_bytes: int
    license: str = ""


def models_dir() -> Path:
    """The folder of base models: FLYWHEEL_MODELS_DIR, else var/models below the working folder."""
    return Path(os.environ.get(MODELS_ENV) or "var/models")


def files_revision(files: dict[str, str]) -> str:
    """One digest over a folder's files: SHA-256 of the sorted lines "<sha256>  <name>", hex."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def folder_files(folder: Path, leave_out: frozenset[str] = frozenset()) -> dict[str, str]:
    """SHA-256 of every file below `folder` by its relative name."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return {name: file_sha256(folder / name) for name in names if name not in leave_out}


def base_find(name: str, expected_revision: str = "") -> BaseModel:
    """Find a base model by folder or name and check its files. Raises BadInput."""
    # A folder wins over a name, so that a relative path works from where the command is started.
    path = Path(name) if is_folder(name) else models_dir() / name
    if not is_folder(path):
        raise BadInput(
            f"base model {name[:200]!r} is neither a folder nor in {models_dir()}; make one with "
            f"`python -m training base-model NAME {models_dir()}/NAME`"
        )
    weights = sorted(path.glob("*.safetensors"))
    if not (path / "config.json").is_file() or not weights:
        raise BadInput(f"base model {path} lacks config.json or *.safetensors; only safetensors are read")
    if not (path / "tokenizer.json").is_file():
        raise BadInput(f"base model {path} has no tokenizer.json; save its fast tokenizer beside the weights")
    # Without the record itself, which holds the digests of the others and so cannot hold its own.
    files = folder_files(path, frozenset({REVISION_FILE}))
    revision = files_revision(files)
    stated_license = _revision_check(path, files, revision, expected_revision)
    return BaseModel(path, path.resolve().name, revision, sum(p.stat().st_size for p in weights), stated_license)


def _revision_check(path: Path, files: dict[str, str], revision: str, expected: str) -> str:
    """Refuse files that differ from their record; returns the licence that the record states, "" for none."""
    record, stated_license = path / REVISION_FILE, ""
    if record.is_file():
        try:
            facts = json.loads(record.read_bytes())
            stated, stated_license = dict(facts["files"]), str(facts.get("license") or "")
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            raise BadInput(f"{record} names no files' digests; make the base model again") from None
        changed = sorted(name for name in stated.keys() | files.keys() if stated.get(name) != files.get(name))
        if changed:
            raise BadInput(f"base model {path}: {changed[0]} differs from {REVISION_FILE}; make the base model again")
    if expected and expected != revision:
        raise BadInput(
            f"base model {path} has revision {revision}, the run asks for {expected}; name that one or clear "
            "base_revision"
        )
    return stated_license


def tokenizer_load(folder: Path) -> Any:
    """The fast tokenizer of a model folder. Raises BadInput without an end-of-sequence token."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise BadInput(f"the tokenizer of {folder} cannot be loaded ({_first_line(error)})") from error
    if not tokenizer.is_fast:
        raise BadInput(f"the tokenizer of {folder} gives no character offsets; save a fast tokenizer")
    if tokenizer.eos_token_id is None:
        raise BadInput(f"the tokenizer of {folder} has no end-of-sequence token; set eos_token")
    if tokenizer.pad_token_id is None:
        # Padding is masked by position and label, never by token id, so that sharing EOS is safe.
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def config_load(folder: Path) -> Any:
    """The configuration of a model folder. Raises BadInput."""
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # A configuration's class checks its values, with errors of many types.
        raise BadInput(f"{folder / 'config.json'} cannot be read ({_first_line(error)}); make the base model again"
                       ) from error
    if not isinstance(getattr(config, "vocab_size", None), int):
        raise BadInput(f"{folder / 'config.json'} names no vocab_size; only language models are trained")
    return config


def model_load(folder: Path, dtype: Any = None) -> Any:
    """The causal language model of a folder, from safetensors, every weight of it. Raises BadInput."""
    import torch
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=dtype or torch.float32, local_files_only=True, use_safetensors=True,
            trust_remote_code=False, attn_implementation="sdpa", output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise BadInput(f"the weights of {folder} cannot be loaded ({_first_line(error)})") from error
    model, report = loaded
    _weights_check(folder, model, report)
    # Where pad is EOS, a padding index would keep the end-of-turn token's embedding from learning. Padding never
    # has a gradient here, so none needs to be suppressed.
    embeddings: Any = model.get_input_embeddings()
    if getattr(embeddings, "padding_idx", None) is not None:
        embeddings.padding_idx = None
    return model


def _weights_check(folder: Path, model: Any, report: dict[str, Any]) -> None:
    """Refuse weights that are missing (they would be random) or not finite (nan spreads). Raises BadInput."""
    import torch

    missing = sorted(report["missing_keys"])
    if missing:
        raise BadInput(f"the weights of {folder} lack {missing[0]} (and {len(missing) - 1} more), which config.json "
                       "asks for; make the base model again")
    broken = next((n for n, p in model.named_parameters() if not bool(torch.isfinite(p).all())), None)
    if broken is not None:
        raise BadInput(f"the weights of {folder} are not all finite numbers ({broken}); make the base model again")


def tuned_load(base: BaseModel, folder: Path) -> Any:
    """The tuned model: an adapter on its base, or full weights. Raises BadInput."""
    if not (folder / "adapter_config.json").is_file():
        return model_load(folder)
    # Without this file PEFT would look for a pickle.
    if not (folder / "adapter_model.safetensors").is_file():
        raise BadInput(f"{folder} has no adapter_model.safetensors; only safetensors are read")
    from peft import PeftModel

    attach: Any = PeftModel.from_pretrained
    model = model_load(base.path)
    try:
        return attach(model, str(folder), use_safetensors=True)
    except Exception as error:  # PEFT checks an adapter with errors of many types.
        raise BadInput(f"the adapter of {folder} does not fit {base.name} ({_first_line(error)}); use the base it was "
                       "trained on") from error


def vocabulary_check(tokenizer: Any, config: Any, folder: Path) -> None:
    """Refuse a tokenizer that makes ids the model has no row for. Raises BadInput."""
    highest = max(tokenizer.get_vocab().values())
    if highest >= config.vocab_size:
        raise BadInput(
            f"base model {folder}: the tokenizer makes ids up to {highest}, the model has {config.vocab_size} rows; "
            "use the tokenizer it was trained with"
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
