"""Who may see which snapshots: stewards and admins all, leads those of the projects they lead."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from annotation.access import leads_project
from annotation.models import Membership, Project
from flywheel.core.access import LEAD
from flywheel.core.errors import NotFound
from flywheel.core.permissions import STEWARDS, Permission, Person, register, role
from flywheel.datasets.models import Snapshot

LEADS = role(LEAD) & leads_project
VIEWERS = STEWARDS | LEADS

register({
    "snapshot.view": Permission("looking at snapshots", VIEWERS),
    "snapshot.request": Permission("requesting a snapshot", VIEWERS),
})


def projects_for(user: Person) -> QuerySet[Project]:
    """The projects for which `VIEWERS` holds, as a query."""
    if STEWARDS(user):
        return Project.objects.all()
    # Inactive people hold no role; the first condition only tells the type checker that the person has a key.
    if not user.is_active or not LEADS(user):
        return Project.objects.none()
    led = Membership.objects.filter(user_id=user.pk, role=Membership.Role.LEAD)
    return Project.objects.filter(pk__in=led.values("project_id"))


def snapshots_for(user: Person) -> QuerySet[Snapshot]:
    """Snapshots the person may see."""
    snapshots = Snapshot.objects.select_related("project", "requested_by", "job__requested_by")
    # Without this branch every steward's list would carry a condition on all projects.
    if STEWARDS(user):
        return snapshots
    return snapshots.filter(project__in=projects_for(user))


def snapshot_of(user: Person, uid: UUID) -> Snapshot:
    """A snapshot. Raises NotFound, also for one that the person may not see."""
    snapshot = snapshots_for(user).filter(uid=uid).first()
    if snapshot is None:
        raise NotFound(f"snapshot {uid} does not exist or is not open to you")
    return snapshot


def project_of(user: Person, slug: str) -> Project:
    """A project to freeze. Raises NotFound."""
    project = projects_for(user).filter(slug=slug).first()
    if project is None:
        raise NotFound(f"you do not lead a project '{slug}'")
    return project
