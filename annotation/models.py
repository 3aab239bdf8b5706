"""Annotation as rows: projects, tasks, suggestions, assignments (leases), annotations, reviews, flags.

Rules are in domain, changes in services. Whether an example may teach is provenance's question, not asked here.
"""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from flywheel.capture.domain.conversation import target_text
from flywheel.capture.models import Example, Source

User = settings.AUTH_USER_MODEL

AGENT = "agent"
"""The origin's name of suggestions that are the agents' own replies."""


class Project(models.Model):
    """Work to be done on examples of some sources: guidelines, label configuration, overlap."""

    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=100, unique=True)
    guidelines = models.TextField(blank=True)
    label_config = models.TextField()
    # label_config as parsed when it was set (annotation.label_config), so that requests need not parse XML.
    label_schema = models.JSONField(default=dict, blank=True)
    overlap = models.PositiveSmallIntegerField(default=1)
    lease_seconds = models.PositiveIntegerField(default=15 * 60)
    sources = models.ManyToManyField(Source, related_name="projects", blank=True)
    # How far the job that makes tasks of new examples has read; see annotation.tasks.
    last_example_id = models.BigIntegerField(default=0)
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person in a project with one role. `cursor` is how far this person's next-task search has come."""

    class Role(models.TextChoices):
        ANNOTATOR = "annotator", "Annotator"
        REVIEWER = "reviewer", "Reviewer"
        LEAD = "lead", "Lead"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role)
    # Tasks up to this id are known to be no work for this person, unless they were handed back (Task.returned_at).
    cursor = models.BigIntegerField(default=0)
    # The same for tasks that were handed back: those handed back up to this moment are known to be no work.
    returned_cursor = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "user", "role"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.role} in {self.project_id}"


class Task(models.Model):
    """One example to be annotated by `overlap` people.

    `slots_taken` counts people who hold or have submitted it; `available` is `slots_taken < overlap` while open, kept
    as a column so that finding the next task is one look into an index however many tasks are taken.
    """

    class State(models.TextChoices):
        OPEN = "open", "To annotate"
        IN_REVIEW = "in_review", "In review"
        SETTLED = "settled", "Settled"
        FLAGGED = "flagged", "Flagged"
        CLOSED = "closed", "Closed"
        WITHDRAWN = "withdrawn", "Withdrawn"

    # Without an index of its own: two below begin with it.
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="tasks", db_index=False)
    example = models.ForeignKey(Example, on_delete=models.PROTECT, related_name="tasks")
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    overlap = models.PositiveSmallIntegerField(default=1)
    # Counters and not counts of rows, because whether a place is free is decided under the task's lock, and a count
    # would read every assignment of the task each time.
    slots_taken = models.PositiveSmallIntegerField(default=0)
    submitted_count = models.PositiveSmallIntegerField(default=0)
    available = models.BooleanField(default=True)
    # Set when a lease ran out or a task was skipped or handed back, so that people whose cursor is past it find it.
    returned_at = models.DateTimeField(null=True, blank=True)
    settled_annotation = models.ForeignKey(
        "Annotation", null=True, blank=True, on_delete=models.SET_NULL, related_name="settles"
    )
    settled_at = models.DateTimeField(null=True, blank=True)
    in_review_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "example"], name="task_once_per_example"),
            # The promise itself, kept by the database too: never more people than places.
            models.CheckConstraint(
                condition=models.Q(slots_taken__lte=models.F("overlap")), name="task_no_more_people_than_overlap"
            ),
            models.CheckConstraint(
                condition=models.Q(submitted_count__lte=models.F("slots_taken")), name="task_submits_hold_slots"
            ),
        ]
        indexes = [
            # Partial, so that its size is the number of free tasks and the next one is its first entry past the cursor.
            models.Index(fields=["project", "id"], name="task_available", condition=models.Q(available=True)),
            models.Index(
                fields=["project", "returned_at", "id"], name="task_returned",
                condition=models.Q(available=True, returned_at__isnull=False),
            ),
            models.Index(fields=["project", "state", "id"], name="task_by_state"),
            # The list of tasks: by number, and by when they were settled.
            models.Index(fields=["project", "id"], name="task_by_project"),
            models.Index(fields=["project", "settled_at", "id"], name="task_by_settlement"),
            # Snapshots read settled tasks in this order, and most tasks of a young project are not settled.
            models.Index(fields=["settled_at", "id"], name="task_settled", condition=models.Q(state="settled")),
        ]

    def __str__(self) -> str:
        return f"task {self.pk}"


class Suggestion(models.Model):
    """A reply offered to the annotator as an editable draft: the agent's own past reply, or a model's.

    `text` holds a model's reply only; `reply` gives what is offered.
    """

    class Origin(models.TextChoices):
        AGENT = "agent", "The agent's reply"
        MODEL = "model", "A model's reply"

    example = models.ForeignKey(Example, on_delete=models.CASCADE, related_name="suggestions")
    origin = models.CharField(max_length=10, choices=Origin)
    # The model version's name for a model's suggestion, `AGENT` otherwise. A name and not a foreign key, because the
    # app of models imports this one.
    origin_name = models.CharField(max_length=200)
    text = models.TextField(blank=True)
    score = models.FloatField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["example", "origin", "origin_name"], name="suggestion_once_per_origin")
        ]
        indexes = [models.Index(fields=["origin_name", "-id"], name="suggestion_by_origin")]

    def __str__(self) -> str:
        return f"{self.origin_name} on {self.example_id}"

    @property
    def reply(self) -> str:
        """The reply that is offered, "" for none."""
        if self.origin == Suggestion.Origin.AGENT:
            # Read from the example and not stored here, because a newer delivery of the conversation may change it and
            # capture does not know this app.
            return target_text(self.example.redacted, self.example.context_length)
        return self.text


class Assignment(models.Model):
    """A person's hold on a task: a lease with an expiry while active, the record of what became of it after.

    Active, submitted and returned ones hold one of the task's places. A returned one is kept for its author until
    `expires_at`, then others may take it.
    """

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        SUBMITTED = "submitted", "Submitted"
        SKIPPED = "skipped", "Skipped"
        EXPIRED = "expired", "Expired"
        RETURNED = "returned", "Returned by review"
        FLAGGED = "flagged", "Flagged"

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="assignments")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="assignments")
    # PROTECT: accounts are deactivated and never deleted, because who answered is part of an example's lineage.
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="assignments")
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    leased_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    skip_reason = models.CharField(max_length=500, blank=True)
    # The draft: the controls' values as typed so far, saved as one types; survives a crash of the browser.
    draft = models.JSONField(default=list)
    # The browser counts it up, so that a save that was delayed on its way cannot overwrite a newer one.
    draft_version = models.PositiveIntegerField(default=0)
    draft_saved_at = models.DateTimeField(null=True, blank=True)

    # Why the person got it: said when it is given, not stored.
    why = ""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "user"], name="assignment_once_per_person")]
        indexes = [
            models.Index(fields=["user", "project", "status"], name="assignment_by_person"),
            # Not a partial index: SQLite would not use one with a bound status.
            models.Index(fields=["status", "expires_at"], name="assignment_expiry"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} on {self.task_id}: {self.status}"


class Annotation(models.Model):
    """One person's answer, append-only: a fix is a new annotation whose `parent` is the fixed one.

    `result` is Label Studio's list of results. `submission_id` is made by the browser, so that a repeated submit of
    the same answer is one annotation.
    """

    class State(models.TextChoices):
        SUBMITTED = "submitted", "Submitted"
        ACCEPTED = "accepted", "Accepted"
        FIXED = "fixed", "Replaced by a fix"
        REJECTED = "rejected", "Rejected"
        NOT_CHOSEN = "not_chosen", "Another answer was chosen"
        UNDONE = "undone", "Undone"

    class SuggestionUse(models.TextChoices):
        NONE = "none", "No suggestion was shown"
        ACCEPTED = "accepted", "Accepted as it was"
        EDITED = "edited", "Edited"
        REPLACED = "replaced", "Written anew"

    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="annotations")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="annotations")
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="annotations")
    submission_id = models.UUIDField(default=uuid.uuid4, unique=True)
    result = models.JSONField(default=list)
    state = models.CharField(max_length=12, choices=State, default=State.SUBMITTED)
    # A fix points at what it fixes and the answer itself stays, because lineage and the annotators' numbers need both.
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="fixes")
    suggestion = models.ForeignKey(
        Suggestion, null=True, blank=True, on_delete=models.SET_NULL, related_name="annotations"
    )
    # Also stored here, because counts per origin are grouped over all annotations and must not need a join.
    suggestion_origin = models.CharField(max_length=200, blank=True)
    suggestion_use = models.CharField(max_length=10, choices=SuggestionUse, default=SuggestionUse.NONE)
    # Normalised Levenshtein distance between suggestion and answer: 0 the same, 1 nothing in common.
    edit_distance = models.FloatField(null=True, blank=True)
    lead_time_seconds = models.FloatField(null=True, blank=True)
    # Personal data found in what was typed, as annotation.domain.redaction describes it, once it was searched.
    pii = models.JSONField(default=list, blank=True)
    searched_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["id"], name="annotation_unsearched", condition=models.Q(searched_at__isnull=True)
            ),
            models.Index(fields=["author", "project", "-id"], name="annotation_by_author"),
            models.Index(fields=["task", "id"], name="annotation_by_task"),
            models.Index(fields=["suggestion_origin", "id"], name="annotation_by_origin"),
        ]

    def __str__(self) -> str:
        return f"annotation {self.pk}"


class Review(models.Model):
    """A reviewer's decision on one annotation."""

    class Decision(models.TextChoices):
        ACCEPT = "accept", "Accept"
        FIX = "fix", "Fix and accept"
        REJECT = "reject", "Reject"

    annotation = models.ForeignKey(Annotation, on_delete=models.CASCADE, related_name="reviews")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="reviews")
    reviewer = models.ForeignKey(User, on_delete=models.PROTECT, related_name="reviews")
    decision = models.CharField(max_length=10, choices=Decision)
    comment = models.TextField(blank=True)
    fixed_annotation = models.OneToOneField(
        Annotation, null=True, blank=True, on_delete=models.PROTECT, related_name="made_by_review"
    )
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.decision} of {self.annotation_id}"


class Flag(models.Model):
    """A person's report that something is wrong with a task. While one is open the task is `flagged`.

    `note` is what the lead or reviewer who decided has to say to the person who flagged.
    """

    class Reason(models.TextChoices):
        PERSONAL_DATA = "personal_data", "Personal data is left in the text"
        GUIDELINES = "guidelines", "The guidelines are wrong or do not cover it"
        UNSAFE = "unsafe", "Unsafe or abusive content"
        BROKEN = "broken", "The conversation is broken or incomplete"
        OTHER = "other", "Something else"

    class State(models.TextChoices):
        OPEN = "open", "Open"
        RETURNED = "returned", "Returned to work"
        CLOSED = "closed", "Task closed"
        UNDONE = "undone", "Taken back"
        WITHDRAWN = "withdrawn", "Task withdrawn"

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="flags")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="flags")
    raised_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="flags")
    reason = models.CharField(max_length=20, choices=Reason)
    comment = models.TextField(blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    resolved_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    resolved_at = models.DateTimeField(null=True, blank=True)
    note = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                # Of open flags only: a person may flag the task again after a decision.
                fields=["task", "raised_by"], name="flag_once_per_person", condition=models.Q(state="open")
            )
        ]
        indexes = [
            models.Index(fields=["project", "state", "id"], name="flag_by_state"),
            models.Index(fields=["raised_by", "project", "-id"], name="flag_by_person"),
        ]

    def __str__(self) -> str:
        return f"{self.reason} on {self.task_id}"
