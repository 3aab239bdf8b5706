"""One training run from specification to manifest, in the order in which things can go wrong.

Check the specification, the base model, the snapshot; tokenise with an account; estimate; train; write the model;
evaluate; write result and manifest. Each step lives in its own module; this one decides what follows what.
"""

from __future__ import annotations

import dataclasses
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training import checkpoints
from training.artifacts import MANIFEST, MODEL_FOLDER, card_write, json_write, manifest_write, model_write
from training.contract import (
    EXIT_BAD_INPUT,
    EXIT_CRASH,
    EXIT_DONE,
    EXIT_STOPPED,
    ContractError,
    Row,
    RowError,
    RunResult,
    RunSpec,
)
from training.errors import BadInput, Diverged, RunFailed, StopRequested
from training.events import EventLog
from training.models import BaseModel, base_find, model_load, tokenizer_load, vocabulary_check
from training.snapshot import manifest_read, snapshot_check, snapshot_rows

if TYPE_CHECKING:
    from training.data import Account, Document
    from training.trainer import Outcome, Plan

RESULT_FILE = "result.json"
LIBRARIES = ("torch", "transformers", "trl", "peft", "tokenizers", "safetensors", "pyarrow")


class Stop:
    """Remembers that SIGTERM or SIGINT came; what to do about it is decided where it is safe."""

    def __init__(self) -> None:
        self.reason = ""

    def note(self, number: int, _frame: object) -> None:
        """Signal handler."""
        self.reason = f"stopped on request ({signal.Signals(number).name})"

    def asked(self) -> str:
        """Why to stop, "" while nobody asked."""
        return self.reason

    def check(self) -> None:
        """Stop between two parts of a run. Raises StopRequested."""
        if self.reason:
            raise StopRequested(self.reason)


@contextmanager
def signals_caught() -> Iterator[Stop]:
    """SIGTERM and SIGINT are noted instead of ending the process."""
    stop = Stop()
    before = {number: signal.signal(number, stop.note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(value: Any, out: Path) -> int:
    """Carry out a RunSpec given as JSON. Returns the exit code; raises BadInput and ContractError."""
    started = time.monotonic()
    spec = RunSpec.from_json(value)
    spec_check(spec)
    try:
        events = EventLog(out)
    except OSError as error:
        raise BadInput(f"{out} cannot be written ({error.strerror}); name a folder that can") from None
    result = RunResult(
        spec.run_id, "failed", spec.snapshot.merkle_root, spec.base_model, method=spec.method, tuning=spec.tuning,
        seed=spec.seed, libraries=libraries(), code_version=_version("flywheel"),
    )
    try:
        with signals_caught() as stop:
            return Attempt(spec, out, events, result, stop, started).run()
    except (BadInput, ContractError, RowError) as error:
        _failed(out, events, result, error, EXIT_BAD_INPUT)
        raise
    except StopRequested as error:
        return _stopped(out, events, result, str(error))
    except Diverged as error:
        last = next(iter(checkpoints.checkpoints_list(out)), None)
        kept = f"the last good checkpoint is {last.name}" if last else "no checkpoint had been written"
        told: RunFailed = Diverged(f"{error}; {kept}")
        _failed(out, events, result, told, EXIT_CRASH)
        raise told from error
    except Exception as error:
        # safetensors tells of a full disk with an error type of its own.
        if "No space left on device" in str(error):
            told = RunFailed(f"the disk of {out} is full; make room and run again: it goes on from its checkpoint")
            _failed(out, events, result, told, EXIT_CRASH)
            raise told from error
        _failed(out, events, result, error, EXIT_CRASH)
        raise
    finally:
        events.close()


def _failed(out: Path, events: EventLog, result: RunResult, error: BaseException, code: int) -> None:
    known = isinstance(error, (RunFailed, BadInput, ContractError, RowError))
    message = str(error) if known else f"{type(error).__name__}: {error}"
    try:
        events.emit("failed", error=message, exit_code=code)
        if code == EXIT_BAD_INPUT and (out / MANIFEST).is_file():
            return  # What an earlier attempt finished here stays as it is.
        json_write(out / RESULT_FILE, dataclasses.replace(result, error=message).to_json())
    except OSError:
        return  # Nothing can be written any more; the exit code and stderr still tell.


def _stopped(out: Path, events: EventLog, result: RunResult, reason: str) -> int:
    result = dataclasses.replace(result, status="stopped", stop_reason=reason)
    json_write(out / RESULT_FILE, result.to_json())
    events.emit("done", status="stopped", stop_reason=reason)
    manifest_write(out, {"run_id": result.run_id, "status": "stopped"})
    return EXIT_STOPPED


def spec_check(spec: RunSpec) -> None:
    """What the contract's types cannot say. Raises BadInput."""
    if not Path(spec.snapshot.path).is_dir():
        raise BadInput(f"snapshot.path {spec.snapshot.path!r} is not a folder; name a snapshot's folder")
    if spec.limits.max_cost is not None and spec.limits.cost_per_hour == 0:
        raise BadInput("limits.max_cost is set and limits.cost_per_hour is 0; name the price of an hour")


def libraries() -> dict[str, str]:
    """Versions of what decides the numbers."""
    return {name: _version(name) for name in LIBRARIES}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


class Attempt:
    """One attempt at a run, each step a method, called in order by `run`."""

    def __init__(
        self, spec: RunSpec, out: Path, events: EventLog, result: RunResult, stop: Stop, started: float
    ) -> None:
        self.spec, self.out, self.events, self.result = spec, out, events, result
        self.stop, self.started = stop, started
        self.snapshot = Path(spec.snapshot.path)

    def run(self) -> int:
        """All steps. Returns the exit code."""
        base = self.base_check()
        self.snapshot_check()
        tokenizer = tokenizer_load(base.path)
        documents, validation = self.tokenise(tokenizer)
        resume = self.resume_find(base)
        # A manifest means "finished"; from here on this folder is not.
        (self.out / MANIFEST).unlink(missing_ok=True)
        outcome = self.train(base, tokenizer, documents, validation, resume)
        self.take(outcome)
        if not outcome.keep_model:
            return _stopped(self.out, self.events, self.result, outcome.stop_reason)
        model_write(self.out, outcome.model, tokenizer, self.spec, base)
        outcome.model = None
        self.evaluate(base, outcome)
        return self.finish(base, outcome)

    def base_check(self) -> BaseModel:
        """Find the base model and its revision."""
        from transformers import AutoConfig

        base = base_find(self.spec.base_model, self.spec.base_revision)
        config = AutoConfig.from_pretrained(str(base.path), local_files_only=True, trust_remote_code=False)
        vocabulary_check(tokenizer_load(base.path), config, base.path)
        longest = getattr(config, "max_position_embeddings", None)
        if longest is not None and self.spec.hyperparameters.max_length > longest:
            raise BadInput(f"hyperparameters.max_length is {self.spec.hyperparameters.max_length}, {base.name} was "
                           f"made for {longest} tokens; lower it")
        self.disk_check(base)
        self.result = dataclasses.replace(self.result, base_revision=base.revision)
        return base

    def disk_check(self, base: BaseModel) -> None:
        """Refuse before training what would not fit: the model, and two checkpoints and one in the making."""
        share = 1.0 if self.spec.tuning == "full" else 0.05
        need = int(base.weight_bytes * share * (1 + 3 * 3)) + 50_000_000
        free = shutil.disk_usage(self.out).free
        if free < need:
            raise BadInput(f"the disk of {self.out} has {free / 1e9:.2f} GB free, the run needs about "
                           f"{need / 1e9:.2f} GB; make room or name another folder")

    def snapshot_check(self) -> None:
        """Digests, Merkle root, order, ids, and no group in two splits."""
        began = time.monotonic()
        report = snapshot_check(self.snapshot, self.spec.snapshot.merkle_root)
        self.events.emit("log", message=f"snapshot verified: {report.rows} rows, root {report.root}",
                         rows=report.rows, splits=report.splits, seconds=round(time.monotonic() - began, 3))
        self.stop.check()

    def tokenise(self, tokenizer: Any) -> tuple[list[Document], list[Document]]:
        """Documents of the train split, and of the validation split when it is watched; the account is shown."""
        from training.data import Encoder

        h = self.spec.hyperparameters
        encoder = Encoder(tokenizer, h.max_length, self.spec.method)
        documents = encoder.encode(snapshot_rows(self.snapshot, "train"))
        self.account_show(encoder.account)
        validation: list[Document] = []
        if h.eval_every:
            rows = snapshot_rows(self.snapshot, "validation", self.spec.evaluation.max_rows)
            validation = Encoder(tokenizer, h.max_length, self.spec.method).encode(rows)
        self.stop.check()
        return documents, validation

    def account_show(self, account: Account) -> None:
        """Say where every token went before any is trained on. Raises BadInput when none is left."""
        counts = account.counts()
        self.events.emit(
            "log", message=f"tokens: {account.total} = {account.kept} kept + {account.truncated} truncated + "
            f"{account.dropped} dropped; {account.supervised} carry loss", tokens=counts, refused=account.refused,
        )
        json_write(self.out / "account.json", {**counts, "refused": account.refused})
        self.result = dataclasses.replace(self.result, tokens=counts)
        if not account.supervised:
            why = next(iter(account.refused.items()), None)
            named = f" (row {why[0]!r} {why[1]})" if why else ""
            raise BadInput(f"the train split has no row to learn from{named}; freeze a snapshot with annotated replies")

    def resume_find(self, base: BaseModel) -> Path | None:
        """The checkpoint to go on from, if there is one."""
        mark = checkpoints.fingerprint(self.spec, base)
        resume, passed = checkpoints.checkpoint_find(self.out, self.spec.resume_from, mark)
        for problem in passed:
            self.events.emit("log", message=f"checkpoint passed over: {problem}")
        if resume is not None:
            self.events.emit("log", message=f"resuming from {resume.name}")
        return resume

    def train(
        self, base: BaseModel, tokenizer: Any, documents: list[Document], validation: list[Document],
        resume: Path | None,
    ) -> Outcome:
        """Estimate, then train."""
        from transformers import set_seed

        from training.evaluate import documents_loss
        from training.trainer import plan_make, train

        set_seed(self.spec.seed)
        plan = plan_make(self.spec, documents)
        model = model_load(base.path)
        self.estimate(plan, model)
        self.stop.check()
        return train(
            self.spec, base, model, tokenizer, plan, self.out, self.events, resume=resume, started=self.started,
            should_stop=self.stop.asked,
            eval_loss=(lambda m: documents_loss(m, tokenizer, validation)[0]) if validation else None,
        )

    def estimate(self, plan: Plan, model: Any) -> None:
        """The event that says how much work lies ahead."""
        epochs = self.spec.hyperparameters.epochs
        weights = sum(p.numel() for p in model.parameters())
        # Kaplan et al. 2020, appendix B: 6 FLOPs a weight and token; a frozen base saves the weights' gradients.
        per_token = (4 if self.spec.tuning == "lora" else 6) * weights
        self.events.emit(
            "estimate", total_steps=plan.total_steps, steps_per_epoch=plan.steps_per_epoch,
            sequences=len(plan.sequences), tokens_per_epoch=plan.real_tokens,
            tokens=int(plan.real_tokens * epochs), flops=float(per_token * plan.real_tokens * epochs),
            weights=weights,
        )

    def take(self, outcome: Outcome) -> None:
        """Carry the outcome's figures into the result."""
        p = outcome.progress
        self.result = dataclasses.replace(
            self.result, steps=outcome.steps, epochs=outcome.epochs, train_seconds=p.seconds,
            cost=p.seconds / 3600 * self.spec.limits.cost_per_hour, first_loss=p.first_loss, last_loss=p.last_loss,
            tokens={**self.result.tokens, "trained": p.tokens, "processed": p.processed}, speed=outcome.speed,
            resumed_from_step=outcome.resumed_from_step,
        )

    def evaluate(self, base: BaseModel, outcome: Outcome) -> None:
        """Base and tuned model on the held-out split; left out when time or money has run out."""
        if outcome.stop_reason.startswith(("max_seconds", "max_cost")):
            self.events.emit("log", message=f"no evaluation: {outcome.stop_reason}")
            return
        self.result = dataclasses.replace(
            self.result, evaluation=evaluation_of(self.spec, base, self.out, self.events, self.stop)
        )

    def finish(self, base: BaseModel, outcome: Outcome) -> int:
        """Card, result, event, manifest: the manifest last."""
        early = outcome.stop_reason.startswith("early stopping")
        status = "stopped" if outcome.stop_reason and not early else "done"
        self.result = dataclasses.replace(self.result, status=status, stop_reason=outcome.stop_reason)
        card_write(self.out, self.spec, base, self.result, manifest_read(self.snapshot))
        json_write(self.out / RESULT_FILE, self.result.to_json())
        self.events.emit("done", status=status, stop_reason=outcome.stop_reason, steps=self.result.steps,
                         train_seconds=self.result.train_seconds, cost=self.result.cost)
        manifest_write(self.out, {"run_id": self.spec.run_id, "status": status})
        return EXIT_DONE if status == "done" else EXIT_STOPPED


def evaluation_of(spec: RunSpec, base: BaseModel, out: Path, events: EventLog, stop: Stop) -> dict[str, Any]:
    """Measure OUT_DIR/model against its base; {} when the split has no rows."""
    from training.evaluate import evaluate

    split = spec.evaluation.split
    rows: list[Row] = snapshot_rows(Path(spec.snapshot.path), split, spec.evaluation.max_rows)
    if not rows:
        events.emit("log", message=f"no evaluation: the {split} split has no rows")
        return {}
    evaluation = evaluate(spec, base, out / MODEL_FOLDER, rows, stop.check)
    if evaluation:
        events.emit("evaluation", **evaluation)
    return evaluation


def evaluate_again(value: Any, out: Path) -> int:
    """`python -m training eval`: measure what a finished run wrote, and renew its result and manifest."""
    spec = RunSpec.from_json(value)
    spec_check(spec)
    if not (out / MODEL_FOLDER).is_dir():
        raise BadInput(f"{out} has no {MODEL_FOLDER} folder; run the specification first")
    base = base_find(spec.base_model, spec.base_revision)
    snapshot_check(Path(spec.snapshot.path), spec.snapshot.merkle_root)
    result = _result_read(out, spec, base)
    events = EventLog(out)
    try:
        with signals_caught() as stop:
            evaluation = evaluation_of(spec, base, out, events, stop)
        result = dataclasses.replace(result, evaluation=evaluation)
        card_write(out, spec, base, result, manifest_read(Path(spec.snapshot.path)))
        json_write(out / RESULT_FILE, result.to_json())
        manifest_write(out, {"run_id": spec.run_id, "status": result.status})
    finally:
        events.close()
    return EXIT_DONE


def _result_read(out: Path, spec: RunSpec, base: BaseModel) -> RunResult:
    import json

    try:
        return RunResult.from_json(json.loads((out / RESULT_FILE).read_bytes()))
    except (OSError, ValueError):
        return RunResult(spec.run_id, "done", spec.snapshot.merkle_root, spec.base_model, base.revision, spec.method,
                         spec.tuning, spec.seed, libraries=libraries(), code_version=_version("flywheel"))
