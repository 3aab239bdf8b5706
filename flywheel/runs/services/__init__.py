"""Changes of state in runs, one function each.

catalog: recipes, prices, budgets; run_requests: estimate, request, approval; budget_ledger: reserving, metering,
settling; remote_jobs: sent, leased, kept, cancelled, swept; kinds: what differs between runs and batches; uploads and
artifacts: files; worker_events: events and results; promotion: the champion; suggestions: its batches; withdrawal: what
a withdrawn consent reaches.
"""

from flywheel.runs.services.artifacts import adapter_files, snapshot_files
from flywheel.runs.services.catalog import (
    budget_carry,
    budget_set,
    defaults_ensure,
    device_set,
    provider_set,
    recipe_create,
)
from flywheel.runs.services.leases import LeaseLost, TokenRefused, job_authenticate, lease_check
from flywheel.runs.services.promotion import model_promote
from flywheel.runs.services.remote_jobs import (
    job_dispatch,
    job_fail,
    job_heartbeat,
    job_lease,
    job_send,
    remote_job_cancel,
    remote_jobs_sweep,
)
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
from flywheel.runs.services.uploads import artifact_store
from flywheel.runs.services.withdrawal import (
    late_records_withdraw,
    model_decide,
    models_withdraw,
    runs_withdraw,
    withdrawal_walk,
)
from flywheel.runs.services.worker_events import run_complete, run_report

__all__ = [
    "LeaseLost", "RunEstimate", "TokenRefused", "adapter_files", "approval_refusal", "artifact_store", "budget_carry",
    "budget_set", "defaults_ensure", "device_set", "job_authenticate", "job_dispatch", "job_fail", "job_heartbeat",
    "job_lease", "job_send", "late_records_withdraw", "lease_check", "model_decide", "model_promote",
    "models_withdraw", "problems_of", "provider_set", "recipe_create", "remote_job_cancel", "remote_jobs_sweep",
    "run_approve", "run_complete", "run_estimate", "run_report", "run_request", "runs_withdraw", "snapshot_files",
    "suggestions_complete", "suggestions_continue", "suggestions_prepare", "suggestions_publish",
    "withdrawal_walk",
]
