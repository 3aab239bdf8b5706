"""Every change of annotation's state, one function each: keyword-only, atomic, ledgered.

Split by what is changed: projects, tasks, work (next, lease, draft), answers (submit, skip, undo), flags, reviews,
redaction (personal data in answers).
"""

from annotation.services.annotations import annotation_submit, annotation_undo, skips_restore, task_skip
from annotation.services.assignments import (
    assignment_open,
    draft_save,
    lease_release,
    lease_renew,
    task_next,
    task_peek,
)
from annotation.services.flags import Undone, flag_resolve, task_flag, task_reopen, work_undo
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
from annotation.services.tasks import leases_sweep, tasks_make, tasks_reconcile, tasks_withdraw

__all__ = [
    "Undone",
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
    "project_archive",
    "project_change",
    "project_create",
    "project_search",
    "review_settle",
    "search_sweep",
    "skips_restore",
    "span_keep",
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
