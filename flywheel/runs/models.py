"""The control plane of training: recipes, prices, budgets, runs with their events, models, batches of suggestions.

Rules are in domain, changes in services; torch is never imported here. Trainers reach it over HTTP (worker_api).
"""

from __future__ import annotations

from decimal import Decimal

from django.conf import settings
from django.db import models

from annotation.models import Project
from flywheel.datasets.models import Snapshot
from flywheel.work.models import Job


class Recipe(models.Model):
    """How to train: method, tuning, base model and hyperparameters (fields of training.contract.Hyperparameters)."""

    name = models.CharField(max_length=120, unique=True)
    description = models.CharField(max_length=500, blank=True)
    method = models.CharField(max_length=30, default="sft")
    tuning = models.CharField(max_length=10, default="lora")
    base_model = models.CharField(max_length=200)
    base_revision = models.CharField(max_length=64, blank=True)
    base_parameters = models.BigIntegerField(default=0)
    # Layers and width of the base model, for the attention term of its FLOPs per token.
    base_layers = models.PositiveIntegerField(default=0)
    base_width = models.PositiveIntegerField(default=0)
    hyperparameters = models.JSONField(default=dict)
    evaluation = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Device(models.Model):
    """What an hour of a trainer costs and how fast it is; set and dated by an admin."""

    name = models.CharField(max_length=100, unique=True)
    price_per_hour = models.DecimalField(max_digits=10, decimal_places=4)
    currency = models.CharField(max_length=3, default="EUR")
    # Peak rate of matrix multiplication, in GFLOP/s.
    peak_gflops = models.FloatField()
    # Which share of the peak a training run reaches: the range assumed before any run was measured here.
    mfu_low = models.FloatField(default=0.30)
    mfu_high = models.FloatField(default=0.50)
    # Seconds one optimiser step takes beyond its arithmetic, and to start the trainer and load a model.
    step_seconds = models.FloatField(default=0.05)
    load_seconds = models.FloatField(default=30)
    priced_on = models.DateField()
    default = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.name


class ManagedProvider(models.Model):
    """What a managed fine-tuning service asks per million trained tokens; shown beside every estimate."""

    name = models.CharField(max_length=100, unique=True)
    price_per_million_tokens = models.DecimalField(max_digits=10, decimal_places=4)
    currency = models.CharField(max_length=3, default="EUR")
    priced_on = models.DateField()

    def __str__(self) -> str:
        return self.name


class Budget(models.Model):
    """What training may cost in one calendar month. Reserved when a run is approved, settled when it ends."""

    month = models.DateField(unique=True)
    cap = models.DecimalField(max_digits=12, decimal_places=2)
    reserved = models.DecimalField(max_digits=12, decimal_places=4, default=0)
    spent = models.DecimalField(max_digits=12, decimal_places=4, default=0)
    currency = models.CharField(max_length=3, default="EUR")
    # A run that may cost more than this needs the approval of an admin other than its requester.
    second_person_above = models.DecimalField(max_digits=12, decimal_places=2, default=50)
    # The month whose cap and threshold were carried over; empty once an admin has set this month's.
    carried_from = models.DateField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.month:%Y-%m}"

    @property
    def committed(self) -> Decimal:
        """Spent and set aside."""
        return self.spent + self.reserved


class RemoteJob(Job):
    """A job that a trainer leases over HTTP and that costs money: what runs and batches of suggestions share.

    The row is a `work.Job` with further columns. Queueing it again mints a new claim token when the message is sent,
    so a trainer that was presumed dead can no longer write.
    """

    job = models.OneToOneField(Job, on_delete=models.CASCADE, parent_link=True, primary_key=True)
    device = models.ForeignKey(Device, on_delete=models.PROTECT, related_name="+")
    budget = models.ForeignKey(Budget, null=True, on_delete=models.PROTECT, related_name="+")
    reserved = models.DecimalField(max_digits=12, decimal_places=4, default=0)
    # Time under lease, in seconds, counted up to the last heartbeat; the cost is this times the price of an hour.
    seconds = models.FloatField(default=0)
    cost = models.DecimalField(max_digits=12, decimal_places=4, default=0)

    class Meta:
        abstract = True

    @property
    def price_per_hour(self) -> Decimal:
        """Price of an hour under lease, in the device's currency."""
        return self.device.price_per_hour


class TrainingRun(RemoteJob):
    """One training of one recipe on one snapshot. Its progress is counted in optimiser steps."""

    name = models.CharField(max_length=200)
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, related_name="runs")
    recipe = models.ForeignKey(Recipe, on_delete=models.PROTECT, related_name="runs")
    # The RunSpec (training.contract) as it was approved. The worker fills in the snapshot's path.
    spec = models.JSONField(default=dict)
    # {tokens, seconds_low, seconds_high, cost_low, cost_high, currency, assumptions: [...]}
    estimate = models.JSONField(default=dict)
    max_cost = models.DecimalField(max_digits=12, decimal_places=4, null=True, blank=True)
    last_seq = models.PositiveBigIntegerField(default=0)
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    approved_at = models.DateTimeField(null=True, blank=True)
    result = models.JSONField(default=dict)

    def __str__(self) -> str:
        return self.name

    @property
    def step(self) -> int:
        """Optimiser steps done."""
        return self.done

    @property
    def total_steps(self) -> int:
        """Optimiser steps planned, 0 while unknown."""
        return self.total or 0

    @property
    def price_per_hour(self) -> Decimal:
        """The price that the run was approved at, even if the device costs something else by now."""
        approved = (self.spec.get("limits") or {}).get("cost_per_hour")
        return self.device.price_per_hour if approved is None else Decimal(str(approved))


class RunEvent(models.Model):
    """One event that the trainer reported (training.contract.RunEvent). A repeated report is one row."""

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveBigIntegerField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=12)
    data = models.JSONField(default=dict)
    received_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "seq"], name="run_event_once")]
        indexes = [models.Index(fields=["run", "kind", "seq"], name="run_event_by_kind")]

    def __str__(self) -> str:
        return f"{self.kind} {self.seq} of {self.run_id}"


class RunArtifact(models.Model):
    """One file that a run produced, in file storage."""

    run = models.ForeignKey(TrainingRun, on_delete=models.CASCADE, related_name="artifacts")
    path = models.CharField(max_length=300)
    storage_path = models.CharField(max_length=500)
    sha256 = models.CharField(max_length=64)
    size = models.BigIntegerField()
    uploaded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "path"], name="run_artifact_once")]

    def __str__(self) -> str:
        return self.path


class ModelVersion(models.Model):
    """A trained model. One champion at most per project."""

    class Status(models.TextChoices):
        CANDIDATE = "candidate", "Candidate"
        CHAMPION = "champion", "Champion"
        RETIRED = "retired", "Retired"
        RETRAIN_REQUIRED = "retrain_required", "Retraining required"

    class Decision(models.TextChoices):
        RETRAIN = "retrain", "Train again without these rows"
        RETIRE = "retire", "Retire for good"
        ANONYMITY = "anonymity", "Keep: anonymity is documented"

    name = models.CharField(max_length=200, unique=True)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="models")
    generation = models.PositiveIntegerField()
    run = models.OneToOneField(TrainingRun, on_delete=models.PROTECT, related_name="model")
    status = models.CharField(max_length=20, choices=Status, default=Status.CANDIDATE)
    promoted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    promoted_at = models.DateTimeField(null=True, blank=True)
    override_reason = models.TextField(blank=True)
    # What was decided once rows that it was trained on had been withdrawn; it never becomes "clean".
    decision = models.CharField(max_length=12, choices=Decision, blank=True)
    decision_reason = models.TextField(blank=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "generation"], name="model_generation_once"),
            models.UniqueConstraint(
                fields=["project"], name="model_one_champion", condition=models.Q(status="champion")
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Evaluation(models.Model):
    """Base and tuned model on a held-out split: losses in nats per assistant token, replies side by side."""

    run = models.OneToOneField(TrainingRun, on_delete=models.CASCADE, related_name="evaluation")
    split = models.CharField(max_length=12)
    rows = models.PositiveIntegerField()
    tokens = models.BigIntegerField()
    base_loss = models.FloatField()
    tuned_loss = models.FloatField()
    samples = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.base_loss:.3f} -> {self.tuned_loss:.3f}"

    @property
    def change(self) -> float | None:
        """Tuned against base, as a share: -0.25 is a quarter less."""
        return self.tuned_loss / self.base_loss - 1 if self.base_loss else None

    @property
    def top(self) -> float:
        """The larger loss, which bars are drawn against."""
        return max(self.base_loss, self.tuned_loss)


class SuggestionBatch(RemoteJob):
    """The champion's suggestions onto unannotated tasks of its project. Its progress is counted in tasks.

    One batch at a time per model: the model is the job's key, and long work with a key exists once until it ends.
    """

    model = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="batches")
    # Tasks after this id were looked at, up to and including `last_task_id`; the next batch goes on from there.
    after_task_id = models.BigIntegerField(default=0)
    last_task_id = models.BigIntegerField(default=0)
    prompts_path = models.CharField(max_length=300, blank=True)
    results_path = models.CharField(max_length=300, blank=True)

    def __str__(self) -> str:
        return f"suggestions of {self.model_id}"


REMOTE_MODELS: dict[str, type[TrainingRun] | type[SuggestionBatch]] = {
    "run": TrainingRun, "suggestions": SuggestionBatch
}
"""Remote jobs by their kind, which is also the word for them in addresses, messages and the ledger."""
