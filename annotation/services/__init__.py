"""Every change of annotation's state, one function each: keyword-only, atomic, ledgered.

Split by what is changed: projects, tasks, work (next, lease, draft), answers (submit, skip, undo), reviews.
"""

from annotation.services.answers import annotation_submit, annotation_undo, skips_restore, task_skip
from annotation.services.projects import (
    default_project_ensure,
    membership_remove,
    membership_set,
    project_archive,
    project_change,
    project_create,
)
from annotation.services.reviews import review_settle
from annotation.services.tasks import leases_sweep, tasks_make, tasks_reconcile, tasks_withdraw
from annotation.services.work import (
    assignment_open,
    draft_save,
    lease_release,
    lease_renew,
    task_next,
    task_peek,
)

__all__ = [
    "annotation_submit",
    "annotation_undo",
    "assignment_open",
    "default_project_ensure",
    "draft_save",
    "lease_release",
    "lease_renew",
    "leases_sweep",
    "membership_remove",
    "membership_set",
    "project_archive",
    "project_change",
    "project_create",
    "review_settle",
    "skips_restore",
    "task_next",
    "task_peek",
    "task_skip",
    "tasks_make",
    "tasks_reconcile",
    "tasks_withdraw",
]
