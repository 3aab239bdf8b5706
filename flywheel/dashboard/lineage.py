"""One example's whole chain, read for its page: capture, redactions, answers, reviews, verdicts, snapshots, runs,
models and the ledger's entries about them. Bounded: one example has few of each, and each list is cut at 50.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from annotation.domain.redaction import redacted
from annotation.models import Annotation, Membership, Project, Review, Task
from flywheel.audit.models import LedgerEntry
from flywheel.capture.models import Example
from flywheel.core import access
from flywheel.core.errors import NotFound
from flywheel.core.models import User
from flywheel.datasets.models import Snapshot, SnapshotRow
from flywheel.runs.models import ModelVersion, TrainingRun
from provenance.domain.gate import RULES
from provenance.domain.vocabulary import PURPOSE_NAMES
from provenance.models import GateVerdict, ProvenanceRecord, StewardReview

LIMIT = 50


@dataclass(slots=True)
class Chain:
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
        return [(item, reply_of(redacted(item.result, item.pii))) for item in self.annotations]

    @property
    def judgements(self) -> list[tuple[GateVerdict, list[str]]]:
        """Each verdict with its reasons in words."""
        return [(verdict, [reason_text(reason) for reason in verdict.reasons]) for verdict in self.verdicts]


def example_for(*, user: User, uid: UUID) -> Example:
    """The example, if the person may see its chain. Raises NotFound otherwise, telling nothing of its existence.

    Stewards, admins and leads see all, as they do in the list of examples; reviewers those of their projects.
    """
    example = (
        Example.objects.select_related("source", "capture__received_by", "provenance", "duplicate_of")
        .filter(uid=uid)
        .first()
    )
    everybody = access.has_role(user, access.STEWARD, access.ADMIN, access.LEAD)
    if example is not None and (everybody or _reviews(user, example)):
        return example
    raise NotFound(f"there is no example {uid} that is open to you")


def _reviews(user: User, example: Example) -> bool:
    roles = (Membership.Role.REVIEWER, Membership.Role.LEAD)
    return Membership.objects.filter(user=user, role__in=roles, project__tasks__example=example).exists()


def _projects(user: User) -> QuerySet[Project]:
    """The projects whose work on an example this person may read."""
    if access.has_role(user, access.STEWARD, access.ADMIN):
        return Project.objects.all()
    roles = (Membership.Role.REVIEWER, Membership.Role.LEAD)
    return Project.objects.filter(memberships__user=user, memberships__role__in=roles)


def chain_of(example: Example, *, user: User) -> Chain:
    """Everything about the example that is open to the person, in a fixed number of queries.

    What other projects made of it is left out, and so are their snapshots, runs and models.
    """
    projects = _projects(user).values("pk")
    kinds = Counter(str(span["type"]).replace("_", " ").lower() for span in example.pii)
    chain = Chain(example, redactions=sorted(kinds.items()))
    chain.tasks = list(Task.objects.filter(example=example, project__in=projects).select_related("project")[:LIMIT])
    chain.annotations = list(
        Annotation.objects.filter(task__in=chain.tasks).select_related("author", "project").order_by("id")[:LIMIT]
    )
    chain.reviews = list(Review.objects.filter(task__in=chain.tasks).select_related("reviewer").order_by("id")[:LIMIT])
    chain.verdicts = list(GateVerdict.objects.filter(record=example.provenance).order_by("purpose", "region")[:LIMIT])
    chain.decisions = list(
        StewardReview.objects.filter(record=example.provenance).select_related("by").order_by("id")[:LIMIT]
    )
    rows = SnapshotRow.objects.filter(example=example, snapshot__project__in=projects)
    chain.rows = list(rows.select_related("snapshot").order_by("id")[:LIMIT])
    snapshots = [row.snapshot_id for row in chain.rows]
    runs = TrainingRun.objects.filter(snapshot__in=snapshots).select_related("recipe")
    chain.runs = list(runs.order_by("id")[:LIMIT])
    chain.models = list(ModelVersion.objects.filter(run__in=chain.runs).order_by("id")[:LIMIT])
    chain.entries = list(LedgerEntry.objects.filter(object__in=_objects(chain)).order_by("-seq")[:LIMIT])
    return chain


def reason_text(reason: dict[str, str]) -> str:
    """A reason of the gate in one line: the rule's words, the value seen, the mend."""
    rule = reason.get("rule", "")
    return f"{RULES.get(rule, rule)}: {reason.get('value', '')}. To mend: {reason.get('mend', '')}."


def reply_of(result: list[dict[str, Any]]) -> str:
    """The text of the first TextArea in a Label Studio result; "" when there is none."""
    for item in result:
        if item.get("type") == "textarea":
            text = item.get("value", {}).get("text", "")
            return "\n".join(text) if isinstance(text, list) else str(text)
    return ""


def _objects(chain: Chain) -> list[str]:
    """How the ledger names the things of this chain: by primary key, by uid, and models by name."""
    example = chain.example
    record, capture = example.provenance, example.capture
    things: list[tuple[str, Any]] = [("example", example), ("capture", capture), ("record", record)]
    things += [("task", task) for task in chain.tasks] + [("annotation", item) for item in chain.annotations]
    things += [("review", item) for item in chain.reviews] + [("snapshot", row.snapshot) for row in chain.rows]
    things += [("run", item) for item in chain.runs] + [("model", item) for item in chain.models]
    names = {f"{kind}:{thing.pk}" for kind, thing in things}
    names |= {f"model:{model.name}" for model in chain.models}
    return sorted(names | {f"{kind}:{thing.uid}" for kind, thing in things if hasattr(thing, "uid")})


@dataclass(frozen=True, slots=True)
class Stop:
    """One station of the picture, as components/lineage.html draws it."""

    name: str
    main: str
    url: str
    detail: str = ""
    tone: str = ""
    badge: str = ""
    state: str = ""


def stops(chain: Chain) -> list[Stop]:
    """The picture, from left to right: what is there, and where the example was stopped or has not come yet."""
    return [
        _captured(chain.example), _redacted(chain), _annotated(chain), _reviewed(chain), _judged(chain),
        _frozen(chain), _trained(chain), _modelled(chain),
    ]


def _captured(example: Example) -> Stop:
    gone = example.status != Example.Status.ACTIVE
    return Stop(
        "Captured", example.source.name, "#captured", f"{example.get_kind_display()} {example.external_id}"[:80],
        tone="bad" if gone else "ok", badge=example.get_status_display(), state="stopped" if gone else "",
    )


def _redacted(chain: Chain) -> Stop:
    count = sum(n for _, n in chain.redactions)
    record = chain.example.provenance
    states = ProvenanceRecord.PersonalData
    tone = {states.PRESENT: "bad", states.UNKNOWN: "wait"}.get(states(record.personal_data), "ok")
    main = f"{count} piece{'' if count == 1 else 's'}" if count else "Nothing found"
    return Stop(
        "Redacted", main, "#redacted", ", ".join(kind for kind, _ in chain.redactions)[:80],
        tone=tone, badge=record.get_personal_data_display(), state="stopped" if tone == "bad" else "",
    )


def _annotated(chain: Chain) -> Stop:
    answers = [item for item in chain.annotations if item.state != Annotation.State.UNDONE]
    if not answers:
        held = f"in {chain.tasks[0].project.name}" if chain.tasks else "in no project"
        return Stop("Annotated", "Not yet", "#annotated", held, state="absent")
    people = {item.author_id: str(item.author) for item in answers}
    count = len(answers)
    return Stop(
        "Annotated", f"{count} answer{'' if count == 1 else 's'}", "#annotated", ", ".join(people.values())[:80],
        tone="ok", badge="Answered",
    )


def _reviewed(chain: Chain) -> Stop:
    settled = any(task.state == Task.State.SETTLED for task in chain.tasks)
    if not chain.reviews:
        return Stop(
            "Reviewed", "Without review" if settled else "Not yet", "#reviewed", tone="ok" if settled else "",
            badge="Settled" if settled else "", state="" if settled else "absent",
        )
    last = chain.reviews[-1]
    rejected = last.decision == Review.Decision.REJECT
    word = {"accept": "Accepted", "fix": "Fixed and accepted", "reject": "Rejected"}[last.decision]
    tone = "bad" if rejected else "ok" if settled else "wait"
    return Stop(
        "Reviewed", word, "#reviewed", f"by {last.reviewer}", tone=tone,
        badge="Settled" if settled else "Back to its author" if rejected else "In review",
        state="stopped" if rejected and not settled else "",
    )


def _judged(chain: Chain) -> Stop:
    if not chain.verdicts:
        return Stop("Gate", "Not judged yet", "#gate", state="absent")
    cleared = [verdict for verdict in chain.verdicts if verdict.cleared]
    named = (cleared or chain.verdicts)[0]
    return Stop(
        "Gate", "Cleared" if cleared else "Refused", "#gate",
        f"{PURPOSE_NAMES.get(named.purpose, named.purpose)}, {named.region}",
        tone="ok" if cleared else "bad", badge=f"{len(cleared)} of {len(chain.verdicts)} purposes",
        state="" if cleared else "stopped",
    )


def _frozen(chain: Chain) -> Stop:
    if not chain.rows:
        return Stop("Snapshot", "In none", "#snapshots", state="absent")
    row = chain.rows[-1]
    tainted = row.tainted_at is not None or row.snapshot.status == Snapshot.Status.TAINTED
    return Stop(
        "Snapshot", row.snapshot.name, "#snapshots", f"{row.split}, leaf {row.leaf_index:,}",
        tone="bad" if tainted else "ok", badge="Tainted" if tainted else f"In {len(chain.rows)}",
        state="stopped" if tainted else "",
    )


def _trained(chain: Chain) -> Stop:
    if not chain.runs:
        return Stop("Run", "In none", "#runs", state="absent")
    run = chain.runs[-1]
    return Stop("Run", run.name, "#runs", run.recipe.name, tone=run.status, badge=run.get_status_display())


def _modelled(chain: Chain) -> Stop:
    if not chain.models:
        return Stop("Model", "None yet", "#models", state="absent")
    model = chain.models[-1]
    return Stop(
        "Model", model.name, "#models", f"generation {model.generation}", tone=model.status,
        badge=model.get_status_display(),
    )
