"""Changes of state in runs, one function each.

setup: recipes, prices, budgets; requests: estimate, request, approval; money: reserving, metering, settling;
leases: queueing, taking, keeping, cancelling, sweeping; artifacts: files; reports: events and results;
promotion: the champion; suggestions: its batches; withdrawal: what a withdrawn consent reaches.
A "run" in lease functions is a training run or a batch of suggestions.
"""

from flywheel.runs.services.artifacts import adapter_files, artifact_store, snapshot_files
from flywheel.runs.services.catalog import (
    budget_carry,
    budget_set,
    defaults_ensure,
    device_set,
    provider_set,
    recipe_create,
)
from flywheel.runs.services.leases import (
    LeaseLost,
    TokenRefused,
    job_authenticate,
    lease_check,
    run_cancel,
    run_dispatch,
    run_fail,
    run_heartbeat,
    run_lease,
    runs_sweep,
)
from flywheel.runs.services.promotion import model_promote
from flywheel.runs.services.run_requests import (
    RunEstimate,
    approval_refusal,
    problems_of,
    run_approve,
    run_estimate,
    run_request,
)
from flywheel.runs.services.suggestions import (
    suggestions_complete,
    suggestions_continue,
    suggestions_prepare,
    suggestions_publish,
)
from flywheel.runs.services.withdrawal import (
    late_records_withdraw,
    model_decide,
    models_withdraw,
    runs_withdraw,
    suggestions_withdraw,
    withdrawal_walk,
)
from flywheel.runs.services.worker_events import run_complete, run_report

__all__ = [
    "LeaseLost", "RunEstimate", "TokenRefused", "adapter_files", "approval_refusal", "artifact_store",
    "budget_carry", "budget_set", "defaults_ensure", "device_set", "job_authenticate", "late_records_withdraw",
    "lease_check", "model_decide", "model_promote", "models_withdraw", "problems_of", "provider_set",
    "recipe_create", "run_approve", "run_cancel", "run_complete", "run_dispatch", "run_estimate", "run_fail",
    "run_heartbeat", "run_lease", "run_report", "run_request", "runs_sweep", "runs_withdraw", "snapshot_files",
    "suggestions_complete", "suggestions_continue", "suggestions_prepare", "suggestions_publish",
    "suggestions_withdraw", "withdrawal_walk",
]
