"""Files that a run writes, all of them atomically: the model, its card, the manifest. Never writes a pickle."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from training.contract import RunResult, RunSpec
from training.contract.files import file_entry, file_sha256
from training.errors import BadInput
from training.models import BaseModel

MANIFEST = "manifest.json"
MANIFEST_SCHEMA = "flywheel.manifest/1"
MODEL_FOLDER = "model"


def fsync_folder(folder: Path) -> None:
    """Sync `folder`, so that renames inside it survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def bytes_write(path: Path, data: bytes) -> None:
    """Write a file atomically: temporary file beside it, fsync, rename."""
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        # Before the rename: a file system may write the name to disk before the bytes, and a power cut leaves it empty.
        os.fsync(file.fileno())
    temporary.replace(path)


def json_write(path: Path, value: Any) -> None:
    """Write JSON atomically."""
    bytes_write(path, (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode())


@contextlib.contextmanager
def folder_replace(target: Path) -> Iterator[Path]:
    """Yield a new empty folder that becomes `target` when the block succeeds and is removed when it fails."""
    work = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        yield work
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    # Contents must be on the disk before the rename is, or a power cut leaves a folder of empty files.
    for path in work.rglob("*"):
        if path.is_file():
            # safetensors makes files that only their owner can read; the web and an auditor must read them too.
            path.chmod(0o644)
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    # A folder cannot replace another in one step: a kill between the two renames leaves `.old`, never a mixture.
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    work.rename(target)
    fsync_folder(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def leftovers_remove(out: Path) -> None:
    """Remove temporary files and folders of an attempt that was killed while it wrote."""
    for name in ("account.json", "result.json", MANIFEST, MODEL_FOLDER, "checkpoints/step-*"):
        pattern = Path(name)
        for kind in ("tmp", "old"):
            for path in (out / pattern.parent).glob(f".{pattern.name}.{kind}"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def disk_check(out: Path, weight_bytes: int) -> None:
    """Refuse a run whose files would not fit on the disk. `weight_bytes`: of the trained weights. Raises BadInput."""
    # The model, two checkpoints and a third being written; each holds the weights and two optimiser moments.
    need = weight_bytes * (1 + 3 * 3) + 50_000_000
    free = shutil.disk_usage(out).free
    if free < need:
        raise BadInput(f"the disk of {out} has {free / 1e9:.2f} GB free, the run needs about {need / 1e9:.2f} GB; make "
                       "room or name another folder")


def manifest_write(folder: Path, facts: dict[str, Any]) -> None:
    """Write manifest.json with SHA-256 and size of every other file below `folder`. Call it last."""
    # Sorted, so that equal folders have equal manifests on every file system.
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    files = {name: file_entry(folder / name) for name in names if name != MANIFEST}
    json_write(folder / MANIFEST, {"schema": MANIFEST_SCHEMA, **facts, "files": files})


def manifest_problems(folder: Path) -> list[str]:
    """Differences between a folder and its manifest; a missing manifest is one."""
    try:
        files = json.loads((folder / MANIFEST).read_bytes())["files"]
        stated = {name: entry["sha256"] for name, entry in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [f"{folder} has no readable {MANIFEST}"]
    problems = []
    for name, digest in stated.items():
        path = folder / name
        if not path.is_file():
            problems.append(f"{name} is missing")
        elif file_sha256(path) != digest:
            problems.append(f"{name} has changed")
    return problems


def model_write(out: Path, model: Any, tokenizer: Any, spec: RunSpec, base: BaseModel) -> Path:
    """Write OUT_DIR/model: adapter or full weights as safetensors, tokenizer with chat template, base's revision."""
    target = out / MODEL_FOLDER
    with folder_replace(target) as work:
        if spec.tuning == "lora":
            config = model.peft_config["default"]
            # A path on this machine means nothing elsewhere; name and digest do.
            config.base_model_name_or_path, config.revision = base.name, base.revision
            model.save_pretrained(str(work), save_embedding_layers=False)
        else:
            model.save_pretrained(str(work))
        tokenizer.save_pretrained(str(work))
        # PEFT writes a card with placeholders; `card_write` replaces this one once figures are measured.
        (work / "README.md").write_text(f"# {spec.run_id}\n\nWritten before evaluation.\n")
    return target


def card_write(out: Path, spec: RunSpec, base: BaseModel, result: RunResult, snapshot: dict[str, Any]) -> None:
    """Write the model card: the metadata block that model hubs read, and measured figures only."""
    import yaml

    licenses = snapshot.get("licenses") or {}
    head = yaml.safe_dump(_card_data(spec, base, result, snapshot), sort_keys=False, allow_unicode=True)
    lines = ["---", head.rstrip(), "---", "", f"# {spec.run_id}", ""]
    lines += [f"{spec.method} with {spec.tuning} tuning of `{base.name}` (revision `{base.revision}`).", ""]
    lines += ["| | |", "|---|---|", f"| snapshot root | `{spec.snapshot.merkle_root}` |"]
    named = ", ".join(f"{name or 'not stated'}: {count}" for name, count in sorted(licenses.items()))
    lines += [f"| licences of the rows | {named or 'not stated'} |"]
    lines += [f"| licence of the base model | {base.license or 'not stated'} |"]
    lines += [f"| steps, epochs | {result.steps}, {result.epochs:.2f} |", f"| seed | {spec.seed} |"]
    lines += [f"| tokens kept / supervised | {result.tokens.get('kept', 0)} / {result.tokens.get('supervised', 0)} |"]
    lines += [f"| code, libraries | {result.code_version}; "
              + ", ".join(f"{k} {v}" for k, v in sorted(result.libraries.items())) + " |"]
    if result.evaluation.get("tuned_loss") is not None:
        where = f"{result.evaluation['split']} ({result.evaluation['rows']} rows)"
        lines += [f"| loss on {where}, base | {result.evaluation['base_loss']:.4f} |",
                  f"| the same, tuned | {result.evaluation['tuned_loss']:.4f} |"]
    lines += ["", "Losses are nats per assistant token on rows that were never trained on."]
    bytes_write(out / MODEL_FOLDER / "README.md", ("\n".join(lines) + "\n").encode())


def _card_data(spec: RunSpec, base: BaseModel, result: RunResult, snapshot: dict[str, Any]) -> dict[str, Any]:
    """The card's metadata, after https://huggingface.co/docs/hub/model-cards."""
    dataset = str(snapshot.get("name") or spec.snapshot.merkle_root[:12])
    licenses = sorted({name or "not stated" for name in (*(snapshot.get("licenses") or [""]), base.license)})
    if len(licenses) > 1:
        # A card names one licence; "other" with a name is the hubs' form for a mixture.
        data: dict[str, Any] = {"license": "other", "license_name": ", ".join(licenses)}
    else:
        data = {"license": "unknown" if licenses == ["not stated"] else licenses[0].lower()}
    data |= {
        "library_name": "peft" if spec.tuning == "lora" else "transformers", "pipeline_tag": "text-generation",
        "base_model": base.name, "datasets": [dataset],
    }
    measured = result.evaluation
    if measured.get("tuned_loss") is not None:
        data["metrics"] = ["loss"]
        data["model-index"] = [{"name": spec.run_id, "results": [{
            "task": {"type": "text-generation"},
            "dataset": {"name": dataset, "type": dataset, "split": measured["split"],
                        "revision": spec.snapshot.merkle_root},
            "metrics": [
                {"type": "loss", "name": "nats per assistant token", "value": measured["tuned_loss"]},
                {"type": "loss", "name": "the same of the base model", "value": measured["base_loss"]},
            ],
        }]}]
    return data
