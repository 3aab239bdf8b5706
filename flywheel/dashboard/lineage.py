"""One example's whole lineage, read for its page: capture, redactions, answers, reviews, verdicts, snapshots, runs,
models and the ledger's entries about them. Bounded: one example has few of each, and each list is cut at 50.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from annotation.domain.labels import reply_of
from annotation.domain.redaction import redacted
from annotation.label_config import label_config_of
from annotation.models import Annotation, Membership, Project, Review, Task
from flywheel.audit.ledger import entries_of
from flywheel.audit.models import LedgerEntry, LedgerSubject
from flywheel.capture.models import Example
from flywheel.core.errors import NotFound
from flywheel.core.models import User
from flywheel.core.permissions import STEWARDS, allow
from flywheel.datasets.models import Snapshot, SnapshotRow
from flywheel.runs.models import ModelVersion, TrainingRun
from provenance.domain.gate import RULES
from provenance.domain.vocabulary import PURPOSE_NAMES
from provenance.models import GateVerdict, ProvenanceRecord, StewardReview

LIMIT = 50


@dataclass(slots=True)
class Lineage:
    """An example with everything that was made of it, in the order in which it was made."""

    example: Example
    redactions: list[tuple[str, int]] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    annotations: list[Annotation] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    verdicts: list[GateVerdict] = field(default_factory=list)
    decisions: list[StewardReview] = field(default_factory=list)
    rows: list[SnapshotRow] = field(default_factory=list)
    runs: list[TrainingRun] = field(default_factory=list)
    models: list[ModelVersion] = field(default_factory=list)
    entries: list[LedgerEntry] = field(default_factory=list)

    @property
    def answers(self) -> list[tuple[Annotation, str]]:
        """Each annotation with its reply as snapshots take it: personal data that was found is replaced."""
        return [
            # Redacted before it is shown, because a reply as it was typed may name a person whom the snapshot does not
            # name.
            (item, reply_of(redacted(item.result, item.pii), label_config_of(item.project)))
            for item in self.annotations
        ]

    @property
    def judgements(self) -> list[tuple[GateVerdict, list[str]]]:
        """Each verdict with its reasons in words."""
        return [(verdict, [reason_text(reason) for reason in verdict.reasons]) for verdict in self.verdicts]


def example_for(*, user: User, uid: UUID) -> Example:
    """The example, if the person may see its lineage. Raises NotFound otherwise, telling nothing of its existence.

    Stewards, admins and leads see all, as they do in the list of examples; reviewers those of their projects.
    """
    example = (
        Example.objects.select_related("source", "capture__received_by", "provenance", "duplicate_of")
        .filter(uid=uid)
        .first()
    )
    # One error for "does not exist" and "may not see": two would reveal which identifiers exist.
    if example is not None and allow("lineage.view", user, example):
        return example
    raise NotFound(f"there is no example {uid} that is open to you")


def lineage_of(example: Example, *, user: User) -> Lineage:
    """Everything about the example that is open to the person, in a fixed number of queries.

    What other projects made of it is left out, and so are their snapshots, runs and models.
    """
    sees_all = STEWARDS(user)
    projects = Project.objects.values("pk")
    # Stewards are responsible for all data, whatever project it is in; for others a membership decides.
    if not sees_all:
        roles = (Membership.Role.REVIEWER, Membership.Role.LEAD)
        projects = projects.filter(memberships__user=user, memberships__role__in=roles)
    # Counted by kind only: the spans mark where personal data is, and the page must not show that text.
    kinds = Counter(str(span["type"]).replace("_", " ").lower() for span in example.pii)
    lineage = Lineage(example, redactions=sorted(kinds.items()))
    lineage.tasks = list(Task.objects.filter(example=example, project__in=projects).select_related("project")[:LIMIT])
    # Later lists start from these rows, so answers and reviews need no second filter by project.
    lineage.annotations = list(
        Annotation.objects.filter(task__in=lineage.tasks).select_related("author", "project").order_by("id")[:LIMIT]
    )
    reviews = Review.objects.filter(task__in=lineage.tasks).select_related("reviewer")
    lineage.reviews = list(reviews.order_by("id")[:LIMIT])
    # Verdicts and decisions are about the record and not about a project, so they are not filtered by one.
    lineage.verdicts = list(GateVerdict.objects.filter(record=example.provenance).order_by("purpose", "region")[:LIMIT])
    lineage.decisions = list(
        StewardReview.objects.filter(record=example.provenance).select_related("by").order_by("id")[:LIMIT]
    )
    rows = SnapshotRow.objects.filter(example=example, snapshot__project__in=projects)
    lineage.rows = list(rows.select_related("snapshot").order_by("id")[:LIMIT])
    # A list of at most 50 keys, because a subquery would repeat the join over the rows of every snapshot.
    snapshots = [row.snapshot_id for row in lineage.rows]
    runs = TrainingRun.objects.filter(snapshot__in=snapshots).select_related("recipe")
    lineage.runs = list(runs.order_by("id")[:LIMIT])
    lineage.models = list(ModelVersion.objects.filter(run__in=lineage.runs).order_by("id")[:LIMIT])
    lineage.entries = _entries(lineage, all_projects=sees_all)
    return lineage


def reason_text(reason: dict[str, str]) -> str:
    """A reason of the gate in one line: the rule's words, the value seen, the fix."""
    rule = reason.get("rule", "")
    return f"{RULES.get(rule, rule)}: {reason.get('value', '')}. To fix: {reason.get('fix', '')}."


def _entries(lineage: Lineage, *, all_projects: bool) -> list[LedgerEntry]:
    """The newest ledger entries that touched anything of this lineage."""
    record = lineage.example.provenance
    entries = entries_of({
        "example": [lineage.example.pk],
        "capture": [lineage.example.capture_id],
        "record": [record.pk],
        # A withdrawal or a consent names the person, and so reaches all of their examples.
        "subject": list(record.subjects.values_list("pk", flat=True)),
        "task": [task.pk for task in lineage.tasks],
        "annotation": [annotation.pk for annotation in lineage.annotations],
        "snapshot": [row.snapshot_id for row in lineage.rows],
        "run": [run.pk for run in lineage.runs],
        "model": [model.pk for model in lineage.models],
    })
    if not all_projects:
        # An entry about the example may be work of a project that this person may not read.
        work = LedgerSubject.objects.filter(entry=OuterRef("pk"), kind__in=["task", "project"])
        projects = {task.project_id for task in lineage.tasks} | {row.snapshot.project_id for row in lineage.rows}
        open_work = Q(kind="task", ident__in=[str(task.pk) for task in lineage.tasks])
        open_work |= Q(kind="project", ident__in=[str(pk) for pk in projects])
        entries = entries.filter(Exists(work.filter(open_work)) | ~Exists(work))
    # Cut after the filter by project, or hidden entries would push the open ones off the page.
    return list(entries[:LIMIT])


@dataclass(frozen=True, slots=True)
class Stage:
    """One station of the picture, as components/lineage.html draws it."""

    name: str
    main: str
    url: str
    detail: str = ""
    tone: str = ""
    badge: str = ""
    state: str = ""


def stages(lineage: Lineage) -> list[Stage]:
    """The picture, from left to right: what is there, and where the example was stopped or has not come yet."""
    return [
        _captured(lineage.example), _redacted(lineage), _annotated(lineage), _reviewed(lineage), _judged(lineage),
        _frozen(lineage), _trained(lineage), _modelled(lineage),
    ]


def _captured(example: Example) -> Stage:
    # A withdrawn or erased example gets no task any more, so the chain ends here.
    gone = example.status != Example.Status.ACTIVE
    return Stage(
        "Captured", example.source.name, "#captured", f"{example.get_kind_display()} {example.external_id}"[:80],
        tone="bad" if gone else "ok", badge=example.get_status_display(), state="stopped" if gone else "",
    )


def _redacted(lineage: Lineage) -> Stage:
    count = sum(n for _, n in lineage.redactions)
    record = lineage.example.provenance
    states = ProvenanceRecord.PersonalData
    # The gate refuses both. Data that was not looked for waits for the search; data that is present waits for a
    # steward.
    tone = {states.PRESENT: "bad", states.UNKNOWN: "wait"}.get(states(record.personal_data), "ok")
    main = f"{count} piece{'' if count == 1 else 's'}" if count else "Nothing found"
    return Stage(
        "Redacted", main, "#redacted", ", ".join(kind for kind, _ in lineage.redactions)[:80],
        tone=tone, badge=record.get_personal_data_display(), state="stopped" if tone == "bad" else "",
    )


def _annotated(lineage: Lineage) -> Stage:
    # The author has taken an undone answer back, so it teaches nothing.
    answers = [item for item in lineage.annotations if item.state != Annotation.State.UNDONE]
    if not answers:
        held = f"in {lineage.tasks[0].project.name}" if lineage.tasks else "in no project"
        return Stage("Annotated", "Not yet", "#annotated", held, state="absent")
    people = {item.author_id: str(item.author) for item in answers}
    count = len(answers)
    return Stage(
        "Annotated", f"{count} answer{'' if count == 1 else 's'}", "#annotated", ", ".join(people.values())[:80],
        tone="ok", badge="Answered",
    )


def _reviewed(lineage: Lineage) -> Stage:
    # Read from the task, because not every review settles it: a rejected answer goes back to its author.
    settled = any(task.state == Task.State.SETTLED for task in lineage.tasks)
    if not lineage.reviews:
        return Stage(
            "Reviewed", "Without review" if settled else "Not yet", "#reviewed", tone="ok" if settled else "",
            badge="Settled" if settled else "", state="" if settled else "absent",
        )
    last = lineage.reviews[-1]
    rejected = last.decision == Review.Decision.REJECT
    word = {"accept": "Accepted", "fix": "Fixed and accepted", "reject": "Rejected"}[last.decision]
    tone = "bad" if rejected else "ok" if settled else "wait"
    return Stage(
        "Reviewed", word, "#reviewed", f"by {last.reviewer}", tone=tone,
        badge="Settled" if settled else "Back to its author" if rejected else "In review",
        state="stopped" if rejected and not settled else "",
    )


def _judged(lineage: Lineage) -> Stage:
    if not lineage.verdicts:
        return Stage("Gate", "Not judged yet", "#gate", state="absent")
    cleared = [verdict for verdict in lineage.verdicts if verdict.cleared]
    # One cleared purpose is enough to teach, so a refusal for another one must not mark the example as stopped.
    named = (cleared or lineage.verdicts)[0]
    return Stage(
        "Gate", "Cleared" if cleared else "Refused", "#gate",
        f"{PURPOSE_NAMES.get(named.purpose, named.purpose)}, {named.region}",
        tone="ok" if cleared else "bad", badge=f"{len(cleared)} of {len(lineage.verdicts)} purposes",
        state="" if cleared else "stopped",
    )


def _frozen(lineage: Lineage) -> Stage:
    if not lineage.rows:
        return Stage("Snapshot", "In none", "#snapshots", state="absent")
    row = lineage.rows[-1]
    # A snapshot that another row tainted is not trained on again either, so this example stops there too.
    tainted = row.tainted_at is not None or row.snapshot.status == Snapshot.Status.TAINTED
    return Stage(
        "Snapshot", row.snapshot.name, "#snapshots", f"{row.split}, leaf {row.leaf_index:,}",
        tone="bad" if tainted else "ok", badge="Tainted" if tainted else f"In {len(lineage.rows)}",
        state="stopped" if tainted else "",
    )


def _trained(lineage: Lineage) -> Stage:
    if not lineage.runs:
        return Stage("Run", "In none", "#runs", state="absent")
    run = lineage.runs[-1]
    return Stage("Run", run.name, "#runs", run.recipe.name, tone=run.status, badge=run.get_status_display())


def _modelled(lineage: Lineage) -> Stage:
    if not lineage.models:
        return Stage("Model", "None yet", "#models", state="absent")
    model = lineage.models[-1]
    return Stage(
        "Model", model.name, "#models", f"generation {model.generation}", tone=model.status,
        badge=model.get_status_display(),
    )
