"""Who may see which snapshots: stewards and admins all, leads those of the projects they lead."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from annotation.models import Membership, Project
from flywheel.core.access import ADMIN, LEAD, STEWARD, has_role
from flywheel.core.errors import NotFound
from flywheel.datasets.models import Snapshot

ROLES = (LEAD, STEWARD, ADMIN)


def projects_for(user: Any) -> QuerySet[Project]:
    """Projects whose snapshots the person may see and ask for."""
    if has_role(user, STEWARD, ADMIN):
        return Project.objects.all()
    led = Membership.objects.filter(user_id=user.pk, role=Membership.Role.LEAD)
    return Project.objects.filter(pk__in=led.values("project_id"))


def snapshots_for(user: Any) -> QuerySet[Snapshot]:
    """Snapshots the person may see."""
    snapshots = Snapshot.objects.select_related("project", "requested_by", "job__requested_by")
    if has_role(user, STEWARD, ADMIN):
        return snapshots
    return snapshots.filter(project__in=projects_for(user))


def snapshot_of(user: Any, uid: UUID) -> Snapshot:
    """A snapshot. Raises NotFound, also for one that is not this person's to see."""
    snapshot = snapshots_for(user).filter(uid=uid).first()
    if snapshot is None:
        raise NotFound(f"there is no snapshot {uid} that is open to you")
    return snapshot


def project_of(user: Any, slug: str) -> Project:
    """A project to freeze. Raises NotFound."""
    project = projects_for(user).filter(slug=slug).first()
    if project is None:
        raise NotFound(f"there is no project '{slug}' that you lead")
    return project
