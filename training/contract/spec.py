"""RunSpec in, RunEvents and a RunResult out: the trainer's interface as dataclasses over JSON.

`from_json` checks types, ranges and known values; building an object in Python does not, because the trainer builds
them from values it has computed itself. Each message names the field, the bad value and the fix.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, StrictBool, StrictFloat, StrictInt

from training.contract.validation import CLOSED, HexRoot, Name, document_build

SPEC_SCHEMA = "flywheel.runspec/1"
GENERATE_SCHEMA = "flywheel.generatespec/1"
RESULT_SCHEMA = "flywheel.runresult/1"

Method = Literal["sft", "continued_pretraining"]
Tuning = Literal["lora", "full"]
EventKind = Literal["log", "metric", "checkpoint", "estimate", "evaluation", "done", "failed"]
RunStatus = Literal["done", "stopped", "failed"]
METHODS: tuple[str, ...] = get_args(Method)
TUNINGS: tuple[str, ...] = get_args(Tuning)

EXIT_DONE = 0
EXIT_CRASH = 1
EXIT_BAD_INPUT = 2
EXIT_STOPPED = 3

Seed = Annotated[StrictInt, Field(ge=0, le=2**32 - 1)]
"""numpy's random generator takes no larger seed."""

Count = Annotated[StrictInt, Field(ge=1, le=10**9)]
NonNegative = Annotated[StrictFloat, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class SnapshotRef:
    """The snapshot's folder and the Merkle root (hex) it must have."""

    __pydantic_config__ = CLOSED

    path: str
    merkle_root: HexRoot


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Units: lengths in tokens, batch in rows (sequences after packing), rates per optimiser step.

    precision: float32, bfloat16 (mixed: weights stay float32), or auto: bfloat16 on a GPU that has it, float32 on a
    CPU.
    """

    __pydantic_config__ = CLOSED

    epochs: Annotated[StrictFloat, Field(ge=0.001, le=1000)] = 1.0
    learning_rate: Annotated[StrictFloat, Field(ge=1e-9, le=1)] = 2e-4
    batch_size: Annotated[StrictInt, Field(ge=1, le=4096)] = 4
    gradient_accumulation: Annotated[StrictInt, Field(ge=1, le=4096)] = 1
    max_length: Annotated[StrictInt, Field(ge=8, le=1_048_576)] = 512
    packing: StrictBool = True
    warmup_ratio: Annotated[StrictFloat, Field(ge=0, le=1)] = 0.03
    scheduler: Literal["cosine", "linear", "constant"] = "cosine"
    weight_decay: Annotated[StrictFloat, Field(ge=0, le=10)] = 0.0
    max_grad_norm: Annotated[StrictFloat, Field(ge=0, le=1000)] = 1.0
    lora_r: Annotated[StrictInt, Field(ge=1, le=1024)] = 16
    lora_alpha: Annotated[StrictInt, Field(ge=1, le=8192)] = 32
    lora_dropout: Annotated[StrictFloat, Field(ge=0, le=0.99)] = 0.0
    gradient_checkpointing: StrictBool = False
    checkpoint_every: Count = 20
    log_every: Count = 1
    eval_every: Annotated[StrictInt, Field(ge=0, le=10**9)] = 0
    early_stopping_patience: Annotated[StrictInt, Field(ge=0, le=10**6)] = 0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard ends of a run; None for no limit. Cost is in the currency of `cost_per_hour`."""

    __pydantic_config__ = CLOSED

    max_cost: NonNegative | None = None
    max_seconds: NonNegative | None = None
    max_steps: Annotated[StrictInt, Field(ge=0)] | None = None
    cost_per_hour: NonNegative = 0.0

    def cost(self, seconds: float) -> float:
        """Cost of so many seconds of the run."""
        return seconds / 3600 * self.cost_per_hour

    def used_up(self, seconds: float) -> str:
        """Which limit (time or cost) is reached after so many seconds, with figures; "" for neither."""
        if self.max_seconds is not None and seconds >= self.max_seconds:
            return f"max_seconds: {seconds:.0f} s of {self.max_seconds:g} s used"
        if self.max_cost is not None and self.cost(seconds) >= self.max_cost:
            return f"max_cost: {self.cost(seconds):.4f} of {self.max_cost:g} spent"
        return ""


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """What to measure on the held-out split after training: loss of base and tuned model, and sample replies.

    max_new_tokens: tokens per reply.
    """

    __pydantic_config__ = CLOSED

    split: Literal["validation", "test"] = "test"
    max_rows: Count = 200
    generate_rows: Annotated[StrictInt, Field(ge=0, le=1000)] = 4
    max_new_tokens: Annotated[StrictInt, Field(ge=1, le=8192)] = 96


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One training run. `base_model` is a folder or a name below the worker's models folder."""

    __pydantic_config__ = CLOSED

    run_id: Name
    base_model: Name
    snapshot: SnapshotRef
    base_revision: str = ""
    method: Method = "sft"
    tuning: Tuning = "lora"
    hyperparameters: Hyperparameters = field(default_factory=Hyperparameters)
    limits: Limits = field(default_factory=Limits)
    evaluation: EvaluationPlan = field(default_factory=EvaluationPlan)
    seed: Seed = 0
    resume_from: str | None = None
    # A literal, so that a later version of the format is refused and not half understood.
    schema: Literal["flywheel.runspec/1"] = "flywheel.runspec/1"

    def to_json(self) -> dict[str, Any]:
        """The specification as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> RunSpec:
        """Check and build. Raises ContractError."""
        return document_build(cls, value, "the run specification")


@dataclass(frozen=True, slots=True)
class GenerateSpec:
    """Batch suggestions: which model answers which prompts.

    prompts_path: JSONL, one `{"id", "messages": [{role, content}]}` a line, ending in a user's turn.
    adapter_path: a PEFT adapter folder or a folder of full weights; None answers with the base model.
    """

    __pydantic_config__ = CLOSED

    job_id: Name
    base_model: Name
    prompts_path: Name
    base_revision: str = ""
    adapter_path: str | None = None
    max_new_tokens: Annotated[StrictInt, Field(ge=1, le=8192)] = 96
    batch_size: Annotated[StrictInt, Field(ge=1, le=4096)] = 8
    seed: Seed = 0
    schema: Literal["flywheel.generatespec/1"] = "flywheel.generatespec/1"

    def to_json(self) -> dict[str, Any]:
        """The specification as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> GenerateSpec:
        """Check and build. Raises ContractError."""
        return document_build(cls, value, "the generate specification")


@dataclass(frozen=True, slots=True)
class RunEvent:
    """One line of events.jsonl. `seq` counts from 1 without gaps in a run folder, over all its attempts.

    `at` is ISO 8601 in UTC. A metric's data holds `step` and any of `loss, eval_loss, learning_rate, tokens,
    tokens_per_second, epoch, grad_norm, cost, seconds, total_steps`.
    """

    __pydantic_config__ = CLOSED

    # The web counts in a JavaScript chart too, where larger numbers lose digits.
    seq: Annotated[StrictInt, Field(ge=1, le=2**53)]
    at: str
    kind: EventKind
    data: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The event as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> RunEvent:
        """Check and build. Raises ContractError."""
        return document_build(cls, value, "a run event")


@dataclass(frozen=True, slots=True)
class RunResult:
    """result.json. status: done, stopped (`stop_reason` says why) or failed (`error` says why).

    tokens: {total, kept, truncated, dropped, supervised, processed}. evaluation: {split, rows, base_loss,
    tuned_loss, tokens, samples: [{id, prompt, reference, base_reply, tuned_reply}]}; losses are nats per
    assistant token. speed: {real_tokens_per_s, real_token_ratio, pack_fill}.
    """

    __pydantic_config__ = CLOSED

    run_id: str
    status: RunStatus
    snapshot_root: str
    base_model: str
    base_revision: str = ""
    method: str = "sft"
    tuning: str = "lora"
    seed: StrictInt = 0
    steps: StrictInt = 0
    epochs: StrictFloat = 0.0
    train_seconds: StrictFloat = 0.0
    cost: StrictFloat = 0.0
    first_loss: StrictFloat | None = None
    last_loss: StrictFloat | None = None
    # Values of maps are not checked: a figure that is not a number must not cost the model that was trained.
    tokens: dict[str, Any] = field(default_factory=dict)
    speed: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, Any] = field(default_factory=dict)
    libraries: dict[str, Any] = field(default_factory=dict)
    code_version: str = ""
    resumed_from_step: StrictInt = 0
    stop_reason: str = ""
    error: str = ""
    schema: str = RESULT_SCHEMA

    def to_json(self) -> dict[str, Any]:
        """The result as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> RunResult:
        """Check and build. Raises ContractError."""
        return document_build(cls, value, "the run result")
