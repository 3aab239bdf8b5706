"""Every change of annotation's state, one function each: keyword-only, atomic, ledgered.

Split by what is changed: projects, tasks, work (next task, leases), answers (draft, submit, skip,
undo), suggestions, flags, reviews,
redaction (personal data in answers).
"""

from annotation.services.annotations import (
    Undone,
    annotation_submit,
    annotation_undo,
    draft_save,
    skips_restore,
    task_skip,
    work_undo,
)
from annotation.services.assignments import (
    assignment_open,
    lease_release,
    lease_renew,
    leases_sweep,
    task_next,
    task_peek,
)
from annotation.services.flags import flag_resolve, task_flag, task_reopen
from annotation.services.projects import (
    default_project_ensure,
    membership_remove,
    membership_set,
    project_archive,
    project_change,
    project_create,
)
from annotation.services.redaction import annotations_search, project_search, search_sweep, span_keep
from annotation.services.reviews import review_settle
from annotation.services.suggestions import (
    agent_suggestions_ensure,
    model_suggestions_add,
    suggestions_withdraw,
)
from annotation.services.tasks import tasks_make, tasks_reconcile, tasks_withdraw

__all__ = [
    "Undone",
    "agent_suggestions_ensure",
    "annotation_submit",
    "annotation_undo",
    "annotations_search",
    "assignment_open",
    "default_project_ensure",
    "draft_save",
    "flag_resolve",
    "lease_release",
    "lease_renew",
    "leases_sweep",
    "membership_remove",
    "membership_set",
    "model_suggestions_add",
    "project_archive",
    "project_change",
    "project_create",
    "project_search",
    "review_settle",
    "search_sweep",
    "skips_restore",
    "span_keep",
    "suggestions_withdraw",
    "task_flag",
    "task_next",
    "task_peek",
    "task_reopen",
    "task_skip",
    "tasks_make",
    "tasks_reconcile",
    "tasks_withdraw",
    "work_undo",
]
