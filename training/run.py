"""One training run from specification to manifest, in the order in which things can go wrong.

Check the specification, the base model, the snapshot; tokenise with an account; estimate; train; write the model;
evaluate; write result and manifest. Each step lives in its own module; this one decides what follows what.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training import checkpoints
from training.artifacts import (
    MANIFEST,
    MODEL_FOLDER,
    card_write,
    disk_check,
    json_write,
    leftovers_remove,
    manifest_write,
    model_write,
)
from training.contract import (
    EXIT_BAD_INPUT,
    EXIT_CRASH,
    EXIT_DONE,
    EXIT_STOPPED,
    ContractError,
    RunResult,
    RunSpec,
)
from training.contract.files import is_folder
from training.contract.flops import flops_per_token
from training.contract.snapshot.reader import manifest_read, snapshot_check, snapshot_rows
from training.contract.spec import RunStatus
from training.errors import BadInput, Diverged, LimitReached, OutOfMoney, RunFailed, StopRequested
from training.evaluate import evaluation_check, evaluation_of
from training.events import EVENTS_FILE, EventLog
from training.models import (
    BaseModel,
    base_find,
    config_load,
    model_load,
    models_dir,
    tokenizer_load,
    vocabulary_check,
)
from training.results import RESULT_FILE, result_begin, result_of_same_run
from training.signals import Stop, signals_caught

if TYPE_CHECKING:
    from training.encoding import Account, Document
    from training.trainer import Outcome, Plan

def run(value: Any, out: Path) -> int:
    """Carry out a RunSpec given as JSON. Returns the exit code; raises BadInput and ContractError."""
    started = time.monotonic()
    spec = RunSpec.from_json(value)
    spec_check(spec)
    # Before the event log is opened, because opening it creates the folder and a file in it.
    out_check(spec, out)
    with signals_caught() as stop, EventLog(out) as events:
        return _carry_out(Attempt(spec, out, events, result_begin(spec), stop, started))


def _carry_out(attempt: Attempt) -> int:
    """Run the attempt. Its end is written into its folder before it is reported by exit code or exception."""
    out = attempt.out
    try:
        return attempt.run()
    except (BadInput, ContractError) as error:
        _failed(attempt, error, EXIT_BAD_INPUT)
        raise
    except StopRequested as error:
        return _stopped(attempt, str(error))
    except Diverged as error:
        last = next(iter(checkpoints.checkpoints_list(out)), None)
        kept = f"the last good checkpoint is {last.name}" if last else "no checkpoint had been written"
        failure: RunFailed = Diverged(f"{error}; {kept}")
        _failed(attempt, failure, EXIT_CRASH)
        raise failure from error
    except Exception as error:
        # safetensors reports a full disk with its own error type, so only the text tells.
        if "No space left on device" in str(error):
            failure = RunFailed(f"the disk of {out} is full; make room and run again: it goes on from its checkpoint")
            _failed(attempt, failure, EXIT_CRASH)
            raise failure from error
        _failed(attempt, error, EXIT_CRASH)
        raise


def _failed(attempt: Attempt, error: BaseException, code: int) -> None:
    known = isinstance(error, (RunFailed, BadInput, ContractError))
    message = str(error) if known else f"{type(error).__name__}: {error}"
    if code == EXIT_BAD_INPUT and (attempt.out / MANIFEST).is_file():
        # An earlier attempt has finished in this folder; its files must stay as they are, events included.
        return
    try:
        attempt.events.emit("failed", error=message, exit_code=code)
        json_write(attempt.out / RESULT_FILE, dataclasses.replace(attempt.result, error=message).to_json())
    except OSError:
        # The disk takes no more; exit code and stderr still report the error.
        return


def _stopped(attempt: Attempt, reason: str) -> int:
    out = attempt.out
    if (out / MANIFEST).is_file():
        # Stopped before anything was done: the finished run in this folder stays as it is.
        return EXIT_STOPPED
    result = dataclasses.replace(attempt.result, status="stopped", stop_reason=reason)
    json_write(out / RESULT_FILE, result.to_json())
    attempt.events.emit("done", status="stopped", stop_reason=reason)
    manifest_write(out, {"run_id": result.run_id, "status": "stopped"})
    return EXIT_STOPPED


def spec_check(spec: RunSpec) -> None:
    """Check what concerns several fields or the disk. Raises BadInput."""
    if not is_folder(spec.snapshot.path):
        raise BadInput(f"snapshot.path {spec.snapshot.path[:200]!r} is not a folder; name a snapshot's folder")
    if spec.limits.max_cost is not None and spec.limits.cost_per_hour == 0:
        raise BadInput("limits.max_cost is set and limits.cost_per_hour is 0; name the price of an hour")
    h = spec.hyperparameters
    if h.early_stopping_patience and not h.eval_every:
        raise BadInput(f"hyperparameters.early_stopping_patience is {h.early_stopping_patience} and eval_every is 0, "
                       "so that nothing would be watched; set eval_every")


def out_check(spec: RunSpec, out: Path) -> None:
    """Refuse a folder that a run must not write to, before anything is written there. Raises BadInput."""
    for name in (spec.snapshot.path, spec.base_model, str(models_dir() / spec.base_model)):
        if is_folder(name) and out.resolve().is_relative_to(Path(name).resolve()):
            raise BadInput(f"{out} lies in {name}, which the run reads; name a folder outside it")
    if is_folder(out) and not (out / EVENTS_FILE).is_file():
        written = ("account.json", checkpoints.FOLDER, MODEL_FOLDER, RESULT_FILE, MANIFEST)
        found = next((name for name in written if (out / name).exists()), None)
        if found:
            raise BadInput(f"{out} holds {found} and no {EVENTS_FILE}, so it is not a run's folder; name an empty or "
                           "new one")


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
        base, tokenizer = self.base_check()
        resume, passed = self.resume_find(base)
        # After the search for a checkpoint: this step changes the folder, and one that holds another run must stay as
        # it is.
        self.snapshot_check()
        documents, validation = self.tokenise(tokenizer)
        # Before training, because a row that cannot be measured must not cost hours first.
        self.evaluation_check(tokenizer)
        self.resume_report(resume, passed)
        outcome = self.train(base, tokenizer, documents, validation, resume)
        self.outcome_record(outcome)
        if not outcome.keep_model:
            return _stopped(self, outcome.stop_reason)
        # A signal must not interrupt what is worth keeping: the model, and later the result.
        with self.stop.deferred():
            model_write(self.out, outcome.model, tokenizer, self.spec, base)
        # Evaluation loads the model from disk; two in memory would not fit where one does.
        outcome.model = None
        self.evaluate(base, outcome)
        with self.stop.deferred():
            return self.run_finish(base, outcome)

    def base_check(self) -> tuple[BaseModel, Any]:
        """Find the base model, its revision and its tokenizer, and check that the run fits it."""
        base = base_find(self.spec.base_model, self.spec.base_revision)
        config, tokenizer = config_load(base.path), tokenizer_load(base.path)
        vocabulary_check(tokenizer, config, base.path)
        longest = getattr(config, "max_position_embeddings", None)
        plan, asked = self.spec.evaluation, self.spec.hyperparameters.max_length
        if longest is not None and asked > longest:
            raise BadInput(f"hyperparameters.max_length is {asked}, {base.name} was made for {longest} tokens; lower "
                           "it")
        if longest is not None and plan.generate_rows and plan.max_new_tokens >= longest:
            raise BadInput(f"evaluation.max_new_tokens is {plan.max_new_tokens}, which leaves {base.name} with its "
                           f"{longest} tokens no room for a prompt; lower it")
        # An adapter's size is known once it is attached; it is checked again then.
        disk_check(self.out, int(base.weight_bytes * (1.0 if self.spec.tuning == "full" else 0.05)))
        self.result = dataclasses.replace(self.result, base_revision=base.revision)
        return base, tokenizer

    def snapshot_check(self) -> None:
        """Digests, Merkle root, order, ids, and no group in two splits."""
        began = time.monotonic()
        report = snapshot_check(self.snapshot, self.spec.snapshot.merkle_root)
        # A manifest means that the run is finished, which no longer holds from here on.
        (self.out / MANIFEST).unlink(missing_ok=True)
        leftovers_remove(self.out)
        self.events.emit("log", message=f"snapshot verified: {report.rows} rows, root {report.root}",
                         rows=report.rows, splits=report.splits, seconds=round(time.monotonic() - began, 3))
        self.stop.check()

    def tokenise(self, tokenizer: Any) -> tuple[list[Document], list[Document]]:
        """Documents of the train split, and of the validation split when it is measured during training."""
        from training.encoding import Encoder

        h = self.spec.hyperparameters
        encoder = Encoder(tokenizer, h.max_length, self.spec.method)
        documents = encoder.encode(snapshot_rows(self.snapshot, "train"))
        self.account_report(encoder.account)
        validation: list[Document] = []
        if h.eval_every:
            rows = snapshot_rows(self.snapshot, "validation", self.spec.evaluation.max_rows)
            validation = Encoder(tokenizer, h.max_length, self.spec.method).encode(rows)
            if not validation and h.early_stopping_patience:
                raise BadInput("hyperparameters.early_stopping_patience is set and the validation split has no row to "
                               "measure; clear it or freeze a snapshot with one")
            if not validation:
                self.events.emit("log", message="the validation split has no row to measure: eval_every does nothing")
        self.stop.check()
        return documents, validation

    def account_report(self, account: Account) -> None:
        """Report what became of every token, before training. Raises BadInput when none is left to learn from."""
        counts = account.counts()
        self.events.emit(
            "log", message=f"tokens: {account.total} = {account.kept} kept + {account.truncated} truncated + "
            f"{account.dropped} dropped; {account.supervised} carry loss", tokens=counts, refused=account.refused,
        )
        # Also written when no row is left, because its list of refused rows says what to change.
        json_write(self.out / "account.json", {**counts, "refused": account.refused})
        self.result = dataclasses.replace(self.result, tokens=counts)
        if not account.supervised:
            why = next(iter(account.refused.items()), None)
            named = f" (row {why[0]!r} {why[1]})" if why else ""
            raise BadInput(f"the train split has no row to learn from{named}; freeze a snapshot with annotated replies")

    def evaluation_check(self, tokenizer: Any) -> None:
        """Check before training that the held-out rows can be measured. Raises BadInput naming a row that cannot."""
        rows = snapshot_rows(self.snapshot, self.spec.evaluation.split, self.spec.evaluation.max_rows)
        account = evaluation_check(self.spec, tokenizer, rows)
        if account.refused:
            self.events.emit("log", message=f"{len(account.refused)} rows of the {self.spec.evaluation.split} split "
                             "cannot be measured", refused=account.refused)
        self.stop.check()

    def resume_find(self, base: BaseModel) -> tuple[Path | None, list[str]]:
        """The checkpoint to resume from, if any, and why others were skipped. Raises BadInput for another run's."""
        mark = checkpoints.fingerprint(self.spec, base)
        resume, passed = checkpoints.checkpoint_find(self.out, self.spec.resume_from, mark)
        if not checkpoints.checkpoints_list(self.out) and (self.out / MANIFEST).is_file():
            result_of_same_run(self.out, self.result)
        return resume, passed

    def resume_report(self, resume: Path | None, passed: list[str]) -> None:
        """Report where the run resumes."""
        for problem in passed:
            self.events.emit("log", message=f"checkpoint passed over: {problem}")
        if resume is not None:
            self.events.emit("log", message=f"resuming from {resume.name}")

    def train(
        self, base: BaseModel, tokenizer: Any, documents: list[Document], validation: list[Document],
        resume: Path | None,
    ) -> Outcome:
        """Estimate, then train."""
        from transformers import set_seed

        from training.evaluate import documents_loss
        from training.trainer import plan_make, train

        # Before the adapter is attached, because its weights are drawn at random.
        set_seed(self.spec.seed)
        plan = plan_make(self.spec, documents)
        model = model_load(base.path)
        self.estimate_report(plan, model)
        self.stop.check()
        with self.stop.deferred():
            return train(
                self.spec, base, model, tokenizer, plan, self.out, self.events, resume=resume, started=self.started,
                should_stop=self.stop.asked,
                eval_loss=(lambda m: documents_loss(m, tokenizer, validation, self.stop.check_money)[0])
                if validation else None,
            )

    def estimate_report(self, plan: Plan, model: Any) -> None:
        """Emit the event with the planned steps, tokens and FLOPs."""
        epochs = self.spec.hyperparameters.epochs
        weights = sum(p.numel() for p in model.parameters())
        per_token = flops_per_token(
            parameters=weights, layers=getattr(model.config, "num_hidden_layers", 0),
            width=getattr(model.config, "hidden_size", 0), length=self.spec.hyperparameters.max_length,
            tuning=self.spec.tuning,
        )
        self.events.emit(
            "estimate", total_steps=plan.total_steps, steps_per_epoch=plan.steps_per_epoch,
            sequences=len(plan.sequences), tokens_per_epoch=plan.real_tokens,
            tokens=int(plan.real_tokens * epochs), flops=per_token * plan.real_tokens * epochs,
            weights=weights,
        )

    def outcome_record(self, outcome: Outcome) -> None:
        """Copy the outcome's figures into the result."""
        p = outcome.progress
        self.result = dataclasses.replace(
            self.result, steps=outcome.steps, epochs=outcome.epochs, train_seconds=p.seconds,
            cost=self.spec.limits.cost(p.seconds), first_loss=p.first_loss, last_loss=p.last_loss,
            tokens={**self.result.tokens, "trained": p.tokens, "processed": p.processed}, speed=outcome.speed,
            resumed_from_step=outcome.resumed_from_step,
        )

    def evaluate(self, base: BaseModel, outcome: Outcome) -> None:
        """Measure base and tuned model on the held-out split; skipped or cut short when time or budget runs out."""
        def check() -> None:
            self.stop.check()
            limit = self.spec.limits.used_up(outcome.resumed_seconds + time.monotonic() - self.started)
            if limit:
                raise LimitReached(limit)

        try:
            check()
            found = evaluation_of(self.spec, base, self.out, self.events, check)
            self.result = dataclasses.replace(self.result, evaluation=found)
        except (LimitReached, OutOfMoney) as limit:
            self.events.emit("log", message=f"no evaluation: {limit}")
            outcome.stop_reason = outcome.stop_reason or str(limit)

    def run_finish(self, base: BaseModel, outcome: Outcome) -> int:
        """Write card, result, event and manifest; the manifest last, because it marks the folder as complete."""
        # Early stopping is a planned end, a limit or a signal is not.
        early = outcome.stop_reason.startswith("early stopping")
        status: RunStatus = "stopped" if outcome.stop_reason and not early else "done"
        self.result = dataclasses.replace(self.result, status=status, stop_reason=outcome.stop_reason)
        card_write(self.out, self.spec, base, self.result, manifest_read(self.snapshot))
        json_write(self.out / RESULT_FILE, self.result.to_json())
        self.events.emit("done", status=status, stop_reason=outcome.stop_reason, steps=self.result.steps,
                         train_seconds=self.result.train_seconds, cost=self.result.cost)
        manifest_write(self.out, {"run_id": self.spec.run_id, "status": status})
        return EXIT_DONE if status == "done" else EXIT_STOPPED


def evaluate_again(value: Any, out: Path) -> int:
    """`python -m training eval`: measure a finished run's model again, and rewrite its result and manifest."""
    spec = RunSpec.from_json(value)
    spec_check(spec)
    if not (out / MODEL_FOLDER).is_dir():
        raise BadInput(f"{out} has no {MODEL_FOLDER} folder; run the specification first")
    base = base_find(spec.base_model, spec.base_revision)
    snapshot_check(Path(spec.snapshot.path), spec.snapshot.merkle_root)
    vocabulary_check(tokenizer_load(base.path), config_load(base.path), base.path)
    asked = dataclasses.replace(result_begin(spec), status="done", base_revision=base.revision)
    # A result of another run is refused, because its model would get the measurements of this specification.
    result = result_of_same_run(out, asked) or asked
    events = EventLog(out)
    try:
        with signals_caught() as stop:
            evaluation = evaluation_of(spec, base, out, events, stop.check)
        result = dataclasses.replace(result, evaluation=evaluation)
        card_write(out, spec, base, result, manifest_read(Path(spec.snapshot.path)))
        json_write(out / RESULT_FILE, result.to_json())
        manifest_write(out, {"run_id": spec.run_id, "status": result.status})
    finally:
        events.close()
    return EXIT_DONE
