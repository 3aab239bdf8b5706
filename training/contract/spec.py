"""RunSpec in, RunEvents and a RunResult out: the trainer's interface as dataclasses over JSON.

Checks types, ranges and known values and names what is wrong. Whether a base model exists, whether a snapshot
verifies and what a run costs is left to the trainer and to the control plane.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, TypeVar

from training.contract.errors import ContractError

SPEC_SCHEMA = "flywheel.runspec/1"
GENERATE_SCHEMA = "flywheel.generatespec/1"
RESULT_SCHEMA = "flywheel.runresult/1"

METHODS = ("sft", "continued_pretraining")
TUNINGS = ("lora", "full")
EVENT_KINDS = ("log", "metric", "checkpoint", "estimate", "evaluation", "done", "failed")
RESULT_STATUSES = ("done", "stopped", "failed")

EXIT_DONE = 0
EXIT_CRASH = 1
EXIT_BAD_INPUT = 2
EXIT_STOPPED = 3


@dataclass(frozen=True, slots=True)
class SnapshotRef:
    """Where the snapshot's folder is and the Merkle root (hex) it must have."""

    path: str
    merkle_root: str


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Units: lengths in tokens, batch in rows (sequences after packing), rates per optimiser step.

    precision: float32, bfloat16 (mixed: weights stay float32), or auto: bfloat16 on a GPU that has it, float32 on a
    CPU.
    """

    epochs: float = 1.0
    learning_rate: float = 2e-4
    batch_size: int = 4
    gradient_accumulation: int = 1
    max_length: int = 512
    packing: bool = True
    warmup_ratio: float = 0.03
    scheduler: str = "cosine"
    weight_decay: float = 0.0
    max_grad_norm: float = 1.0
    lora_r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.0
    gradient_checkpointing: bool = False
    checkpoint_every: int = 20
    log_every: int = 1
    eval_every: int = 0
    early_stopping_patience: int = 0
    precision: str = "auto"


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard ends of a run; None for no limit. Cost is in the currency of `cost_per_hour`."""

    max_cost: float | None = None
    max_seconds: float | None = None
    max_steps: int | None = None
    cost_per_hour: float = 0.0

    def cost(self, seconds: float) -> float:
        """What so many seconds of the run cost."""
        return seconds / 3600 * self.cost_per_hour

    def used_up(self, seconds: float) -> str:
        """Which of time and money is used up after so many seconds, "" for neither."""
        if self.max_seconds is not None and seconds >= self.max_seconds:
            return f"max_seconds: {seconds:.0f} s of {self.max_seconds:g} s used"
        if self.max_cost is not None and self.cost(seconds) >= self.max_cost:
            return f"max_cost: {self.cost(seconds):.4f} of {self.max_cost:g} spent"
        return ""


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """What to measure on the held-out split once trained: loss of base and tuned model, and sample replies."""

    split: str = "test"
    max_rows: int = 200
    generate_rows: int = 4
    max_new_tokens: int = 96


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One training run. `base_model` is a folder or a name below the worker's models folder."""

    run_id: str
    base_model: str
    snapshot: SnapshotRef
    base_revision: str = ""
    method: str = "sft"
    tuning: str = "lora"
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)
    limits: Limits = field(default_factory=Limits)
    evaluation: EvaluationPlan = field(default_factory=EvaluationPlan)
    seed: int = 0
    resume_from: str | None = None
    schema: str = SPEC_SCHEMA

    def to_json(self) -> dict[str, Any]:
        """The specification as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> RunSpec:
        """Check and build. Raises ContractError."""
        spec = _build(cls, value, "the run specification")
        _one_of("schema", spec.schema, (SPEC_SCHEMA,))
        _one_of("method", spec.method, METHODS)
        _one_of("tuning", spec.tuning, TUNINGS)
        _one_of("evaluation.split", spec.evaluation.split, ("validation", "test"))
        _one_of("hyperparameters.scheduler", spec.hyperparameters.scheduler, ("cosine", "linear", "constant"))
        _one_of("hyperparameters.precision", spec.hyperparameters.precision, ("auto", "float32", "bfloat16"))
        for name in ("run_id", "base_model"):
            if not getattr(spec, name).strip():
                raise ContractError(f"{name} is empty; name the {name.replace('_', ' ')}")
        if len(spec.snapshot.merkle_root) != 64 or set(spec.snapshot.merkle_root) - set("0123456789abcdef"):
            raise ContractError(
                f"snapshot.merkle_root is {_short(spec.snapshot.merkle_root)}; give the manifest's root, 64 hex digits"
            )
        for name, low, high in _RANGES:
            _in_range(f"hyperparameters.{name}", getattr(spec.hyperparameters, name), low, high)
        for name in ("max_cost", "max_seconds", "max_steps"):
            limit = getattr(spec.limits, name)
            if limit is not None:
                _in_range(f"limits.{name}", limit, 0, math.inf)
        _in_range("limits.cost_per_hour", spec.limits.cost_per_hour, 0, math.inf)
        _in_range("seed", spec.seed, 0, 2**32 - 1)
        for name, low, high in _EVALUATION_RANGES:
            _in_range(f"evaluation.{name}", getattr(spec.evaluation, name), low, high)
        return spec


_EVALUATION_RANGES: tuple[tuple[str, float, float], ...] = (
    ("max_rows", 1, 10**9), ("generate_rows", 0, 1000), ("max_new_tokens", 1, 8192),
)
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("epochs", 0.001, 1000), ("learning_rate", 1e-9, 1), ("batch_size", 1, 4096), ("gradient_accumulation", 1, 4096),
    ("max_length", 8, 1_048_576), ("warmup_ratio", 0, 1), ("weight_decay", 0, 10), ("max_grad_norm", 0, 1000),
    ("lora_r", 1, 1024), ("lora_alpha", 1, 8192), ("lora_dropout", 0, 0.99), ("checkpoint_every", 1, 10**9),
    ("log_every", 1, 10**9), ("eval_every", 0, 10**9), ("early_stopping_patience", 0, 10**6),
)


@dataclass(frozen=True, slots=True)
class GenerateSpec:
    """Batch suggestions: which model answers which prompts.

    prompts_path: JSONL, one `{"id", "messages": [{role, content}]}` a line, ending in a user's turn.
    adapter_path: a PEFT adapter folder or a folder of full weights; None answers with the base model.
    """

    job_id: str
    base_model: str
    prompts_path: str
    base_revision: str = ""
    adapter_path: str | None = None
    max_new_tokens: int = 96
    batch_size: int = 8
    seed: int = 0
    schema: str = GENERATE_SCHEMA

    def to_json(self) -> dict[str, Any]:
        """The specification as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> GenerateSpec:
        """Check and build. Raises ContractError."""
        spec = _build(cls, value, "the generate specification")
        _one_of("schema", spec.schema, (GENERATE_SCHEMA,))
        for name in ("job_id", "base_model", "prompts_path"):
            if not getattr(spec, name).strip():
                raise ContractError(f"{name} is empty; name the {name.replace('_', ' ')}")
        _in_range("seed", spec.seed, 0, 2**32 - 1)
        _in_range("max_new_tokens", spec.max_new_tokens, 1, 8192)
        _in_range("batch_size", spec.batch_size, 1, 4096)
        return spec


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One line of events.jsonl. `seq` counts from 1 without gaps in a run folder, over all its attempts.

    `at` is ISO 8601 in UTC. A metric's data holds `step` and any of `loss, eval_loss, learning_rate, tokens,
    tokens_per_second, epoch, grad_norm, cost, seconds, total_steps`.
    """

    seq: int
    at: str
    kind: str
    data: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The event as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> RunEvent:
        """Check and build. Raises ContractError."""
        event = _build(cls, value, "a run event")
        _one_of("kind", event.kind, EVENT_KINDS)
        _in_range("seq", event.seq, 1, 2**53)
        return event


@dataclass(frozen=True, slots=True)
class RunResult:
    """result.json. status: done, stopped (`stop_reason` says why) or failed (`error` says why).

    tokens: {total, kept, truncated, dropped, supervised, processed}. evaluation: {split, rows, base_loss,
    tuned_loss, tokens, samples: [{id, prompt, reference, base_reply, tuned_reply}]}; losses are nats per
    assistant token.
    """

    run_id: str
    status: str
    snapshot_root: str
    base_model: str
    base_revision: str = ""
    method: str = "sft"
    tuning: str = "lora"
    seed: int = 0
    steps: int = 0
    epochs: float = 0.0
    train_seconds: float = 0.0
    cost: float = 0.0
    first_loss: float | None = None
    last_loss: float | None = None
    tokens: dict[str, int] = field(default_factory=dict)
    speed: dict[str, float] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    libraries: dict[str, str] = field(default_factory=dict)
    code_version: str = ""
    resumed_from_step: int = 0
    stop_reason: str = ""
    error: str = ""
    schema: str = RESULT_SCHEMA

    def to_json(self) -> dict[str, Any]:
        """The result as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> RunResult:
        """Check and build. Raises ContractError."""
        result = _build(cls, value, "the run result")
        _one_of("status", result.status, RESULT_STATUSES)
        return result


T = TypeVar("T")


def _short(value: object) -> str:
    """A value as an error shows it: what was sent may be of any length."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ContractError(f"{name} is {_short(value)}; use one of {', '.join(allowed)}")


def _in_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        ends = f"from {low:.10g} to {high:.10g}" if math.isfinite(high) else f"of {low:g} or more"
        raise ContractError(f"{name} is {_short(value)}; give a number {ends}")


_PLAIN: dict[str, tuple[type, ...]] = {
    "str": (str,), "int": (int,), "float": (int, float), "bool": (bool,),
    "str | None": (str, type(None)), "int | None": (int, type(None)), "float | None": (int, float, type(None)),
}
_NESTED: dict[str, type] = {
    "SnapshotRef": SnapshotRef, "Hyperparameters": Hyperparameters, "Limits": Limits, "EvaluationPlan": EvaluationPlan,
}


def _build(cls: type[T], value: Any, what: str, prefix: str = "") -> T:
    """Build dataclass `cls` from JSON `value`, refusing unknown, missing and mistyped fields by their full name."""
    if not isinstance(value, dict):
        raise ContractError(f"{what} is {type(value).__name__}; give an object")
    fields = {f.name: f for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    unknown = sorted(set(value) - set(fields))
    if unknown:
        raise ContractError(f"{what} has unknown field {_short(unknown[0])}; known are {', '.join(fields)}")
    built: dict[str, Any] = {}
    for name, spec in fields.items():
        required = spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING
        if name not in value:
            if required:
                raise ContractError(f"{what} lacks {name!r}; add it")
            continue
        kind = str(spec.type)
        if kind in _NESTED:
            built[name] = _build(_NESTED[kind], value[name], prefix + name, f"{prefix}{name}.")
        else:
            built[name] = _plain(prefix + name, kind, value[name])
    return cls(**built)


def _plain(name: str, kind: str, value: Any) -> Any:
    allowed = _PLAIN.get(kind, (dict,))
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
        raise ContractError(f"{name} is {_short(value)} ({type(value).__name__}); give {kind}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ContractError(f"{name} is {value!r}; give a finite number")
    return value
