"""Every action that the ledger records. `ledger_append` takes this enum, so a service cannot append another one.

An action that may change a verdict must be in `CHANGES_FACTS`, because a snapshot build reads those entries and leaves
out records whose facts changed after it read them.
"""

from __future__ import annotations

from enum import StrEnum


class Action(StrEnum):
    """The action, as the ledger stores it."""

    # People, tokens and projects.
    PERSON_CREATE = "person.create"
    PERSON_UPDATE = "person.update"
    PERSON_ACTIVATE = "person.activate"
    PERSON_DEACTIVATE = "person.deactivate"
    PERSON_PASSWORD_RESET = "person.password_reset"  # noqa: S105 - an action, not a password
    PERSON_PASSWORD_CHANGE = "person.password_change"  # noqa: S105
    TOKEN_CREATE = "token.create"  # noqa: S105
    TOKEN_REVOKE = "token.revoke"  # noqa: S105
    PROJECT_CREATE = "project.create"
    PROJECT_CHANGE = "project.change"
    PROJECT_PAUSE = "project.pause"
    PROJECT_RESUME = "project.resume"
    MEMBERSHIP_SET = "membership.set"
    MEMBERSHIP_REMOVE = "membership.remove"

    # Capture.
    SOURCE_CREATE = "source.create"
    SOURCE_CHANGE = "source.change"
    CAPTURE_RECEIVE = "capture.receive"
    CAPTURE_PROCESS = "capture.process"
    CAPTURE_REPLAY = "capture.replay"
    IMPORT_START = "import.start"
    IMPORT_FINISH = "import.finish"
    EXAMPLE_ORIGINAL_SEEN = "example.original_seen"
    EXAMPLE_WITHDRAW = "example.withdraw"

    # Provenance.
    PROVENANCE_RECORD = "provenance.record"
    PROVENANCE_TERMS = "provenance.terms"
    CONSENT_IMPORT = "consent.import"
    CONSENT_EVENT = "consent.event"
    CONSENT_WITHDRAW = "consent.withdraw"
    BASIS_RECORD = "basis.record"
    BASIS_REVOKE = "basis.revoke"
    STEWARD_CLEAR = "steward.clear_personal_data"
    STEWARD_QUARANTINE = "steward.quarantine"
    STEWARD_RELEASE = "steward.release"
    GATE_JUDGE = "gate.judge"
    WITHDRAWAL_COMPLETE = "withdrawal.complete"

    # Annotation.
    TASK_MAKE = "task.make"
    TASK_LEASE = "task.lease"
    TASK_RELEASE = "task.release"
    TASK_SUBMIT = "task.submit"
    TASK_SKIP = "task.skip"
    TASK_UNDO = "task.undo"
    TASK_UNSKIP = "task.unskip"
    TASK_REOPEN = "task.reopen"
    TASK_WITHDRAW = "task.withdraw"
    TASK_FLAG = "task.flag"
    FLAG_RETURN = "flag.return"
    FLAG_CLOSE = "flag.close"
    FLAG_UNDO = "flag.undo"
    LEASE_EXPIRE = "lease.expire"
    REVIEW_ACCEPT = "review.accept"
    REVIEW_FIX = "review.fix"
    REVIEW_REJECT = "review.reject"
    ANNOTATION_SEARCH = "annotation.search"
    ANNOTATION_REDACT = "annotation.redact"
    ANNOTATION_KEEP = "annotation.keep"

    # Data sets.
    SNAPSHOT_REQUEST = "snapshot.request"
    SNAPSHOT_FREEZE = "snapshot.freeze"
    SNAPSHOT_FAILED = "snapshot.failed"
    SNAPSHOT_CANCELLED = "snapshot.cancelled"
    SNAPSHOT_TAINT = "snapshot.taint"

    # Training, models and suggestions.
    RECIPE_CREATE = "recipe.create"
    DEVICE_PRICE = "device.price"
    PROVIDER_PRICE = "provider.price"
    BUDGET_SET = "budget.set"
    BUDGET_CARRY = "budget.carry"
    RUN_REQUEST = "run.request"
    RUN_APPROVE = "run.approve"
    RUN_DISPATCH = "run.dispatch"
    RUN_LEASE = "run.lease"
    RUN_REQUEUE = "run.requeue"
    RUN_CANCEL = "run.cancel"
    RUN_DONE = "run.done"
    RUN_STOPPED = "run.stopped"
    RUN_CANCELLED = "run.cancelled"
    RUN_FAILED = "run.failed"
    MODEL_PROMOTE = "model.promote"
    MODEL_RETRAIN_REQUIRED = "model.retrain_required"
    MODEL_DECIDE = "model.decide"
    SUGGESTIONS_PUBLISH = "suggestions.publish"
    SUGGESTIONS_DISPATCH = "suggestions.dispatch"
    SUGGESTIONS_LEASE = "suggestions.lease"
    SUGGESTIONS_REQUEUE = "suggestions.requeue"
    SUGGESTIONS_CANCEL = "suggestions.cancel"
    SUGGESTIONS_DONE = "suggestions.done"
    SUGGESTIONS_CANCELLED = "suggestions.cancelled"
    SUGGESTIONS_FAILED = "suggestions.failed"
    SUGGESTION_WITHDRAW = "suggestion.withdraw"

    @property
    def changes_facts(self) -> bool:
        """Whether the act may change what the gate says of a record."""
        return self in CHANGES_FACTS


CHANGES_FACTS = frozenset({
    Action.PROVENANCE_RECORD, Action.PROVENANCE_TERMS, Action.CONSENT_IMPORT, Action.CONSENT_EVENT,
    Action.CONSENT_WITHDRAW, Action.BASIS_RECORD, Action.BASIS_REVOKE, Action.STEWARD_CLEAR,
    Action.STEWARD_QUARANTINE, Action.STEWARD_RELEASE,
})
"""Each of these must name the records, people or source systems that it touched, because their subjects are read."""
