"""Who may do what with runs, models and money. Admins and stewards see every project's, leads those they lead."""

from __future__ import annotations

from django.db.models import QuerySet

from annotation.models import Project
from flywheel.core.access import LEAD
from flywheel.core.errors import NotFound
from flywheel.core.permissions import (
    ADMINS,
    DECIDERS,
    NO_PERSON,
    STEWARDS,
    Fact,
    Permission,
    Person,
    register,
    role,
)
from flywheel.core.text import whole_number
from flywheel.datasets.access import LEADS, VIEWERS, projects_for
from flywheel.datasets.models import Snapshot
from flywheel.runs.models import ModelVersion, TrainingRun

REQUESTERS = ADMINS | LEADS
# A request does not outlive its role: a requester who is not a lead any more may not cancel.
OWN = role(LEAD) & Fact("the lead who requested it", lambda user, job: job.requested_by_id == user.pk)

register({
    "run.view": Permission("looking at runs", VIEWERS),
    "run.request": Permission("requesting a run", REQUESTERS),
    "run.approve": Permission("approving a run", ADMINS),
    "run.cancel": Permission("cancelling a run", ADMINS | OWN),
    "model.view": Permission("looking at models", VIEWERS),
    "model.promote": Permission("promoting a model", ADMINS),
    "model.decide": Permission("deciding on a model of withdrawn rows", STEWARDS),
    "suggestions.publish": Permission("publishing suggestions", REQUESTERS),
    "recipe.view": Permission("looking at recipes", DECIDERS),
    "recipe.create": Permission("making a recipe", ADMINS),
    "budget.view": Permission("looking at budgets and prices", ADMINS),
    "budget.set": Permission("setting budgets and prices", ADMINS),
    # The trainer's token is good for one job and belongs to no person.
    "job.work": Permission("working on a job", NO_PERSON),
})


def projects_seen(user: Person) -> QuerySet[Project]:
    """The projects whose runs and models this person sees: those whose snapshots they see."""
    return projects_for(user)


def runs_of(user: Person) -> QuerySet[TrainingRun]:
    """Runs that this person may see."""
    return TrainingRun.objects.filter(snapshot__project__in=projects_seen(user))


def run_of(user: Person, uid: object) -> TrainingRun:
    """A run. Raises NotFound, also for one that the person may not see."""
    run = (
        runs_of(user)
        .select_related("snapshot__project", "recipe", "device", "budget", "requested_by", "approved_by")
        .filter(uid=str(uid))
        .first()
    )
    if run is None:
        raise NotFound(f"run {uid} does not exist or is not open to you")
    return run


def models_of(user: Person) -> QuerySet[ModelVersion]:
    """Models that this person may see."""
    return ModelVersion.objects.filter(project__in=projects_seen(user))


def model_of(user: Person, name: str) -> ModelVersion:
    """A model by name or number. Raises NotFound, also for one that the person may not see."""
    models = models_of(user).select_related("project", "run__snapshot", "run__recipe", "run__device", "run__evaluation")
    found = models.filter(name=name).first()
    if found is None and (number := whole_number(name)) is not None:
        found = models.filter(pk=number).first()
    if found is None:
        raise NotFound(f"model {name!r} does not exist or is not open to you")
    return found


def snapshots_of(user: Person) -> QuerySet[Snapshot]:
    """Frozen snapshots that this person may have trained on, newest first."""
    return Snapshot.objects.filter(
        project__in=projects_seen(user), status=Snapshot.Status.FROZEN
    ).select_related("project").order_by("-pk")
