"""Who may see and do what with runs and models. Admins and stewards see every project's, leads those they lead."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from annotation.models import Membership, Project
from flywheel.core.access import ADMIN, LEAD, STEWARD, has_role
from flywheel.core.errors import Forbidden, NotFound
from flywheel.core.text import whole_number
from flywheel.datasets.models import Snapshot
from flywheel.runs.models import ModelVersion, TrainingRun

VIEWERS = (LEAD, STEWARD, ADMIN)
REQUESTERS = (LEAD, ADMIN)


def projects_seen(user: Any) -> QuerySet[Project]:
    """The projects whose runs and models this person sees."""
    if has_role(user, ADMIN, STEWARD):
        return Project.objects.all()
    if not has_role(user, LEAD):
        return Project.objects.none()
    led = Membership.objects.filter(user_id=user.pk, role=Membership.Role.LEAD)
    return Project.objects.filter(pk__in=led.values("project_id"))


def leads(user: Any, project: Project) -> bool:
    """Whether the person may ask for training in this project."""
    if has_role(user, ADMIN):
        return True
    held = Membership.objects.filter(user_id=user.pk, project=project, role=Membership.Role.LEAD)
    return has_role(user, LEAD) and held.exists()


def lead_check(user: Any, project: Project, what: str) -> None:
    """Raises Refused unless the person leads the project or is an admin."""
    if not leads(user, project):
        raise Forbidden(f"{what} is for admins and the leads of project '{project.name}'")


def runs_of(user: Any) -> QuerySet[TrainingRun]:
    """Runs that this person may see."""
    return TrainingRun.objects.filter(snapshot__project__in=projects_seen(user))


def run_of(user: Any, uid: object) -> TrainingRun:
    """One of them. Raises NotFound, also for one of another project."""
    run = (
        runs_of(user)
        .select_related("snapshot__project", "recipe", "device", "budget", "requested_by", "approved_by")
        .filter(uid=str(uid))
        .first()
    )
    if run is None:
        raise NotFound(f"there is no run {uid} that is open to you")
    return run


def models_of(user: Any) -> QuerySet[ModelVersion]:
    """Models that this person may see."""
    return ModelVersion.objects.filter(project__in=projects_seen(user))


def model_of(user: Any, name: str) -> ModelVersion:
    """One of them by name or number. Raises NotFound, also for one of another project."""
    models = models_of(user).select_related("project", "run__snapshot", "run__recipe", "run__device", "run__evaluation")
    found = models.filter(name=name).first()
    if found is None and (number := whole_number(name)) is not None:
        found = models.filter(pk=number).first()
    if found is None:
        raise NotFound(f"there is no model {name!r} that is open to you")
    return found


def snapshots_of(user: Any) -> QuerySet[Snapshot]:
    """Frozen snapshots that this person may have trained on, newest first."""
    return Snapshot.objects.filter(
        project__in=projects_seen(user), status=Snapshot.Status.FROZEN
    ).select_related("project").order_by("-pk")
