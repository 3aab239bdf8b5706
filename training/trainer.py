"""The training loop: TRL's SFTTrainer on documents that are already tokenised, masked and packed.

Read it top to bottom: `train` sets up model, sequences and trainer and runs it; `Watch` writes events, keeps the
limits and requests checkpoints; `Loop` replaces the parts of SFTTrainer that would guess, drop or pickle.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from training import checkpoints
from training.artifacts import disk_check
from training.contract import RunSpec
from training.encoding import IGNORE, Document
from training.epoch_order import EpochOrder
from training.errors import Diverged, OutOfMoney
from training.events import EventLog
from training.models import BaseModel
from training.packing import Collator, sequences_make
from training.signals import OUT_OF_MONEY

DIVERGENCE_WINDOW = 8


@dataclass(slots=True)
class Progress:
    """Counters of a run over all its attempts; stored in each checkpoint."""

    tokens: int = 0
    processed: int = 0
    seconds: float = 0.0
    first_loss: float | None = None
    last_loss: float | None = None
    recent: list[float] = field(default_factory=list)
    unlogged: list[float] = field(default_factory=list)
    best_eval: float | None = None
    evals_without_gain: int = 0


@dataclass(slots=True)
class Outcome:
    """How training ended. `stop_reason` is "" when every planned step was done."""

    model: Any
    steps: int
    epochs: float
    progress: Progress
    resumed_from_step: int
    resumed_seconds: float
    stop_reason: str
    keep_model: bool
    speed: dict[str, float]


@dataclass(slots=True)
class Plan:
    """The work of a run, known before its first step."""

    sequences: list[dict[str, Any]]
    micro_rows: int
    micro_steps: int
    steps_per_epoch: int
    total_steps: int

    @property
    def real_tokens(self) -> int:
        """Tokens of one epoch without padding."""
        return sum(len(s["input_ids"]) for s in self.sequences)


def plan_make(spec: RunSpec, documents: list[Document]) -> Plan:
    """Pack the documents and count the steps.

    On a CPU a batch goes through one sequence at a time: the gradient is the same (each is weighted by its tokens),
    memory is a fraction, and a request to stop is seen sooner.
    """
    h = spec.hyperparameters
    sequences = sequences_make(documents, h.max_length, h.packing, spec.seed)
    micro_rows = h.batch_size if torch.cuda.is_available() else 1
    micro_steps = h.batch_size * h.gradient_accumulation // micro_rows
    steps_per_epoch = math.ceil(math.ceil(len(sequences) / micro_rows) / micro_steps)
    return Plan(sequences, micro_rows, micro_steps, steps_per_epoch, math.ceil(h.epochs * steps_per_epoch))


def train(
    spec: RunSpec, base: BaseModel, model: Any, tokenizer: Any, plan: Plan, out: Path, events: EventLog, *,
    resume: Path | None, started: float, should_stop: Callable[[], str],
    eval_loss: Callable[[Any], float] | None = None,
) -> Outcome:
    """Train `model` and return it with the counters. Checkpoints go to OUT_DIR/checkpoints. Raises Diverged."""
    from datasets import Dataset
    from peft import LoraConfig

    h = spec.hyperparameters
    watch = Watch(spec, plan, events, started, should_stop, eval_loss, checkpoints.fingerprint(spec, base))
    if resume is not None:
        watch.progress = Progress(**checkpoints.state_read(resume)["progress"])
        watch.resumed_seconds = watch.progress.seconds
        watch.resumed_tokens = watch.progress.tokens
    lora = LoraConfig(
        r=h.lora_r, lora_alpha=h.lora_alpha, lora_dropout=h.lora_dropout, target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    loop = Loop(
        model=model, args=_arguments(spec, plan, out), train_dataset=Dataset.from_list(plan.sequences),
        data_collator=Collator(tokenizer.pad_token_id), processing_class=tokenizer, callbacks=[watch],
        peft_config=lora if spec.tuning == "lora" else None,
    )
    # After construction, because SFTTrainer sets the flag about loss arguments itself while it is built.
    loop.prepare_for_run(watch, out)
    sizes = [(p.numel(), p.requires_grad) for p in loop.network().parameters()]
    trained, weights = sum(size for size, moves in sizes if moves), sum(size for size, _ in sizes)
    # The exact size of an adapter is known from here on; 4 bytes are a float32 weight.
    disk_check(out, 4 * trained)
    events.emit("log", message=f"training {trained:,} of {weights:,} weights on {loop.args.device}",
                trained_weights=trained)
    resumed_step = checkpoints.state_read(resume)["step"] if resume else 0
    loop.train(resume_from_checkpoint=str(resume) if resume else None)
    # A stop in the middle of a step drops that step, and with it what was counted since.
    watch.progress = Progress(**watch.kept_state["progress"])
    seconds = max(watch.step_seconds, 1e-9)
    done = watch.progress.tokens - watch.resumed_tokens
    return Outcome(
        model=loop.model, steps=loop.state.global_step,
        epochs=loop.state.global_step / plan.steps_per_epoch, progress=watch.progress,
        resumed_from_step=resumed_step, resumed_seconds=watch.resumed_seconds,
        stop_reason=watch.stop_reason, keep_model=watch.keep_model,
        speed={
            "real_tokens_per_s": done / seconds,
            "real_token_ratio": watch.progress.tokens / max(watch.progress.processed, 1),
            "pack_fill": plan.real_tokens / (len(plan.sequences) * h.max_length) if h.packing else 0.0,
        },
    )


def _arguments(spec: RunSpec, plan: Plan, out: Path) -> SFTConfig:
    h = spec.hyperparameters
    # A CPU keeps float32 unless asked, because exactness matters more there than speed.
    gpu_bfloat16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return SFTConfig(
        output_dir=str(out), seed=spec.seed, data_seed=spec.seed,
        per_device_train_batch_size=plan.micro_rows, gradient_accumulation_steps=plan.micro_steps,
        max_steps=plan.total_steps, learning_rate=h.learning_rate, lr_scheduler_type=h.scheduler,
        # The first warm-up step has rate 0: a run of one step would learn nothing.
        warmup_steps=min(math.ceil(h.warmup_ratio * plan.total_steps), plan.total_steps - 1),
        weight_decay=h.weight_decay,
        max_grad_norm=h.max_grad_norm, gradient_checkpointing=h.gradient_checkpointing,
        # SFTTrainer must neither tokenise, nor pack, nor cut, nor drop: all of that is done and accounted for.
        dataset_kwargs={"skip_prepare_dataset": True}, packing=False, max_length=None, remove_unused_columns=False,
        # `Watch` writes the events and `Loop` the checkpoints.
        save_strategy="no", logging_strategy="no", report_to=[], disable_tqdm=True, eval_strategy="no",
        logging_nan_inf_filter=False, dataloader_num_workers=0, dataloader_pin_memory=torch.cuda.is_available(),
        bf16=gpu_bfloat16 if h.precision == "auto" else h.precision == "bfloat16", fp16=False,
        use_cpu=not torch.cuda.is_available(),
    )


class Watch(TrainerCallback):
    """At each step: metrics, limits, requests to stop, and when to write a checkpoint."""

    def __init__(
        self, spec: RunSpec, plan: Plan, events: EventLog, started: float, should_stop: Callable[[], str],
        eval_loss: Callable[[Any], float] | None, mark: dict[str, Any],
    ) -> None:
        self.spec, self.plan, self.events, self.mark = spec, plan, events, mark
        self.started, self.should_stop, self.eval_loss = started, should_stop, eval_loss
        self.progress = Progress()
        self.resumed_seconds, self.resumed_tokens = 0.0, 0
        self.stop_reason, self.keep_model = "", True
        self.kept_state: dict[str, Any] = {}
        self.step_loss, self.grad_norm, self.learning_rate = 0.0, 0.0, 0.0
        self.step_seconds, self._step_started = 0.0, 0.0

    def state_keep(self) -> None:
        """Keep what a checkpoint of this step needs, because a stop may come in the middle of the next one."""
        progress = {name: getattr(self.progress, name) for name in Progress.__slots__}
        self.kept_state = {"progress": {k: list(v) if isinstance(v, list) else v for k, v in progress.items()},
                        "random": checkpoints.random_state()}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """The state before the first step must be kept too, because a stop may come in the first step."""
        self.state_keep()

    def on_substep_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """A request to stop takes effect inside a step: the unfinished step is dropped, the last whole one kept."""
        if self.should_stop():
            self._stop_note(state.global_step)
            control.should_training_stop = control.should_save = True

    def _stop_note(self, step: int) -> None:
        # Writing the model would delay the stop, and the checkpoint holds the same weights. A run without budget will
        # not be resumed, so its model must be written.
        self.stop_reason = self.should_stop()
        self.keep_model = self.stop_reason == OUT_OF_MONEY and step > 0

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the step's clock."""
        self._step_started = time.monotonic()
        self.step_loss = 0.0

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep the learning rate of this step, before the schedule advances."""
        self.learning_rate = float(kwargs["lr_scheduler"].get_last_lr()[0])

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """After the weights were updated: count, report, and decide whether to go on."""
        now = time.monotonic()
        self.step_seconds += now - self._step_started
        p, h, step = self.progress, self.spec.hyperparameters, state.global_step
        p.seconds = self.resumed_seconds + now - self.started
        p.first_loss = self.step_loss if p.first_loss is None else p.first_loss
        p.last_loss = self.step_loss
        p.recent = [*p.recent, self.step_loss][-DIVERGENCE_WINDOW:]
        p.unlogged.append(self.step_loss)
        last = step >= self.plan.total_steps
        if h.eval_every and self.eval_loss and (step % h.eval_every == 0 or last):
            self._evaluate(kwargs["model"], step)
        # The last step is always reported, or a run shorter than `log_every` would show no loss at all.
        if step % h.log_every == 0 or last:
            self._metric(state)
        # A limit that is reached by the last planned step does not make a complete run count as stopped.
        if not last and not self.stop_reason:
            self.stop_reason = self._reason_to_stop(step)
        control.should_training_stop |= bool(self.stop_reason)
        control.should_save = bool(last or self.stop_reason or step % h.checkpoint_every == 0)
        self.state_keep()

    def _metric(self, state: TrainerState) -> None:
        p, losses = self.progress, self.progress.unlogged
        speed = (p.tokens - self.resumed_tokens) / max(self.step_seconds, 1e-9)
        self.events.emit(
            "metric", step=state.global_step, total_steps=self.plan.total_steps, loss=sum(losses) / len(losses),
            learning_rate=self.learning_rate, grad_norm=self.grad_norm, tokens=p.tokens,
            tokens_per_second=round(speed, 2), epoch=round(state.global_step / self.plan.steps_per_epoch, 4),
            seconds=round(p.seconds, 3), cost=round(self.spec.limits.cost(p.seconds), 6),
        )
        p.unlogged = []

    def _evaluate(self, model: Any, step: int) -> None:
        assert self.eval_loss is not None
        p, patience = self.progress, self.spec.hyperparameters.early_stopping_patience
        try:
            loss = self.eval_loss(model)
        except OutOfMoney:
            # The check after the step finds the same reason to stop.
            return
        finally:
            model.train()
        self.events.emit("metric", step=step, total_steps=self.plan.total_steps, eval_loss=loss)
        better = p.best_eval is None or loss < p.best_eval
        p.evals_without_gain = 0 if better else p.evals_without_gain + 1
        p.best_eval = loss if better else p.best_eval
        if patience and p.evals_without_gain >= patience:
            self.stop_reason = f"early stopping: no better validation loss in {patience} evaluations"

    def _reason_to_stop(self, step: int) -> str:
        limits = self.spec.limits
        if self.should_stop():
            self._stop_note(step)
            return self.stop_reason
        if limits.max_steps is not None and step >= limits.max_steps:
            return f"max_steps: {step} of {self.plan.total_steps} steps done"
        return limits.used_up(self.progress.seconds)

    def check(self, loss: float, what: str, step: int) -> None:
        """Refuse a loss or gradient that is not finite, before it reaches the weights. Raises Diverged."""
        if not math.isfinite(loss):
            raise Diverged(f"the {what} is {loss} in step {step}; lower learning_rate")

    def check_rise(self, step: int) -> None:
        """Stop when the mean loss of the last steps is far above the untrained model's. Raises Diverged."""
        # Twice the first loss plus 3 nats, so that the noise of small batches does not stop a run.
        first, recent = self.progress.first_loss, [*self.progress.recent, self.step_loss][-DIVERGENCE_WINDOW:]
        mean = sum(recent) / len(recent)
        if first is not None and len(recent) >= DIVERGENCE_WINDOW // 2 and mean > 2 * first + 3:
            raise Diverged(f"the loss rose to {mean:.3f} by step {step} from {first:.3f}; lower learning_rate")


class Loop(SFTTrainer):
    """SFTTrainer with its own order of rows, loss on the CPU, and checkpoints."""

    watch: Watch
    out: Path

    def prepare_for_run(self, watch: Watch, out: Path) -> None:
        """Set what the overridden methods need."""
        self.watch, self.out = watch, out
        # The loss below divides by the window's tokens, so that accumulation equals the full batch.
        self.model_accepts_loss_kwargs = True
        self.remove_callback(PrinterCallback)
        for name in ("trl", "transformers", "accelerate"):
            logging.getLogger(name).setLevel(logging.ERROR)

    def network(self) -> torch.nn.Module:
        """The model with its adapter."""
        assert self.model is not None
        return self.model

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Sum of the supervised tokens' losses over the window's number of them.

        TRL's fused head skips unsupervised positions only where Triton runs; elsewhere it multiplies each of them
        with the whole vocabulary. Here only the supervised ones are, through the model's own `logits_to_keep`.
        """
        self.watch.progress.processed += inputs["input_ids"].numel()
        self.watch.progress.tokens += int(inputs.pop("real_tokens").sum())
        if inputs["input_ids"].is_cuda:
            fused: Any = super().compute_loss
            return fused(model, inputs, return_outputs, num_items_in_batch)
        total, count = supervised_loss(model, inputs)
        return total / (count if num_items_in_batch is None else num_items_in_batch).clamp(min=1)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Any:
        """One micro-batch. Raises Diverged when its loss is not finite."""
        inherited: Any = super().training_step
        loss = inherited(model, inputs, num_items_in_batch)
        self.watch.step_loss += float(loss)
        self.watch.check(self.watch.step_loss, "loss", self.state.global_step + 1)
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)  # type: ignore[no-untyped-call]
        self.watch.grad_norm = float(norm) if norm is not None else 0.0
        self.watch.check(self.watch.grad_norm, "gradient", self.state.global_step + 1)
        # Checked here, because this is the last override that runs before the optimiser changes the weights.
        self.watch.check_rise(self.state.global_step + 1)
        return norm

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        plan = self.watch.plan
        return EpochOrder(
            len(plan.sequences), self.args.seed, lambda: int(self.state.global_step // plan.steps_per_epoch)
        )

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        for name, parameter in self.network().named_parameters():
            # A checkpoint with nan in it would be resumed from again and again.
            if parameter.requires_grad and not bool(torch.isfinite(parameter).all()):
                raise Diverged(f"weight {name} is not finite after step {self.state.global_step}; lower learning_rate")
        path = checkpoints.checkpoint_save(
            self.out, self.state.global_step, model=self.model, optimizer=self.optimizer,
            scheduler=self.lr_scheduler, trainer_state=self.state,
            extra={"fingerprint": self.watch.mark, **self.watch.kept_state},
        )
        self.watch.events.emit("checkpoint", step=self.state.global_step, path=str(path.relative_to(self.out)))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        checkpoints.weights_load(Path(resume_from_checkpoint), model or self.model)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            checkpoints.optimizer_load(Path(checkpoint), self.optimizer, self.lr_scheduler)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            checkpoints.random_restore(Path(checkpoint))


def supervised_loss(model: Any, inputs: dict[str, Any]) -> tuple[Any, Any]:
    """Sum of -log p (nats) over supervised tokens, and their number. Gradients flow where they are on."""
    targets = inputs["labels"][:, 1:]
    # Logits for supervised columns only: the vocabulary is the largest product of a small model.
    columns = (targets != IGNORE).any(0).nonzero().flatten()
    logits = model(
        input_ids=inputs["input_ids"], position_ids=inputs["position_ids"], use_cache=False, logits_to_keep=columns,
    ).logits
    targets = targets[:, columns]
    total = torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum"
    )
    return total, (targets != IGNORE).sum()
