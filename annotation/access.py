"""Who may do what in a project. Membership decides; an admin manages every project and annotates in none unasked."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import QuerySet

from annotation.models import Annotation, Assignment, Flag, Membership, Project, Task
from flywheel.core.access import ADMIN, has_role
from flywheel.core.errors import Forbidden, NotFound

ANNOTATE: tuple[str, ...] = (Membership.Role.ANNOTATOR, Membership.Role.LEAD)
REVIEW: tuple[str, ...] = (Membership.Role.REVIEWER, Membership.Role.LEAD)
READ: tuple[str, ...] = (Membership.Role.REVIEWER, Membership.Role.LEAD)
MANAGE: tuple[str, ...] = (Membership.Role.LEAD,)
ANY: tuple[str, ...] = tuple(Membership.Role)

Row = TypeVar("Row", Task, Annotation, Flag)

_WORDS = {ANNOTATE: "annotate in", REVIEW: "review in or read the tasks of", MANAGE: "change", ANY: "open"}


def is_admin(user: Any) -> bool:
    """Whether the person manages every project."""
    return has_role(user, ADMIN)


def projects_of(user: Any) -> QuerySet[Project]:
    """The projects this person may see."""
    if is_admin(user):
        return Project.objects.all()
    return Project.objects.filter(pk__in=Membership.objects.filter(user_id=user.pk).values("project_id"))


def roles_in(user: Any, project: Project) -> frozenset[str]:
    """The person's roles in a project; an inactive person has none."""
    if not user.is_active:
        return frozenset()
    return frozenset(
        Membership.objects.filter(project=project, user_id=user.pk).values_list("role", flat=True)
    )


def may_annotate(user: Any, project: Project) -> bool:
    """Whether tasks of the project may be given to the person."""
    return not roles_in(user, project).isdisjoint(ANNOTATE)


def access_project(user: Any, slug: str, roles: tuple[str, ...] = ANY) -> Project:
    """The project, if the person has one of these roles in it (an admin may all but annotate and review).

    Raises NotFound to people who are in no way part of it, so that names of projects do not leak, and Refused to
    members without the role.
    """
    project = Project.objects.filter(slug=slug).first()
    held = roles_in(user, project) if project else frozenset()
    admin = is_admin(user)
    if project is None or not (held or admin):
        raise NotFound(f"there is no project '{slug}' that you are a member of; its lead can add you")
    if held & set(roles) or (admin and roles in (ANY, MANAGE)):
        return project
    raise Forbidden(f"you may not {_WORDS.get(roles, 'do this in')} '{project.name}': it takes the project's role "
                  f"{' or '.join(roles)}; its lead can give it to you")


def access_project_read(user: Any, slug: str) -> Project:
    """The project, for people who may read all its tasks and answers: its reviewers and leads, and admins."""
    if is_admin(user):
        return access_project(user, slug)
    return access_project(user, slug, READ)


def access_membership(user: Any, project: Project, roles: tuple[str, ...]) -> Membership:
    """The person's membership with one of these roles, the first in their order. Raises Refused."""
    found = {
        row.role: row
        for row in Membership.objects.filter(project=project, user_id=user.pk, role__in=roles)
    }
    for role in roles:
        if role in found and user.is_active:
            return found[role]
    raise Forbidden(f"you may not {_WORDS.get(roles, 'do this in')} '{project.name}': it takes the project's role "
                  f"{' or '.join(roles)}; its lead can give it to you")


def access_assignment(user: Any, assignment_id: int) -> Assignment:
    """One's own assignment with its task and project. Raises NotFound, also for another person's."""
    found = (
        Assignment.objects.select_related("task", "project").filter(pk=assignment_id, user_id=user.pk).first()
    )
    if found is None:
        raise NotFound(f"there is no assignment {assignment_id} of yours; open your project to get a task")
    return found


def access_task(user: Any, task_id: int, roles: tuple[str, ...] = REVIEW) -> Task:
    """A task of a project in which the person has one of these roles. Raises NotFound or Refused."""
    return _of_own_project(
        user, Task.objects.select_related("project").filter(pk=task_id).first(), f"task {task_id}", roles
    )


def access_annotation(user: Any, annotation_id: int, roles: tuple[str, ...]) -> Annotation:
    """An annotation of a project in which the person has one of these roles. Raises NotFound or Refused."""
    return _of_own_project(
        user, Annotation.objects.select_related("project").filter(pk=annotation_id).first(),
        f"annotation {annotation_id}", roles,
    )


def _of_own_project(user: Any, row: Row | None, called: str, roles: tuple[str, ...]) -> Row:
    """The row, when its project lets the person. To people outside the project it is as if there were none: the same
    words, and not the project's name."""
    if row is None:
        raise NotFound(f"there is no {called}")
    try:
        access_project(user, row.project.slug, roles)
    except NotFound as error:
        raise NotFound(f"there is no {called}") from error
    return row


def access_flaggable(user: Any, task_id: int) -> Task:
    """A task that the person may flag: one given to them at some time, or one of a project that they review.

    Raises NotFound otherwise, also when there is such a task, so that nobody learns of tasks by their numbers.
    """
    task = Task.objects.select_related("project").filter(pk=task_id).first()
    held = roles_in(user, task.project) if task else frozenset()
    if task is not None and held & set(REVIEW):
        return task
    if task is not None and held and Assignment.objects.filter(task=task, user_id=user.pk).exists():
        return task
    raise NotFound(f"there is no task {task_id} that you work on; flag a task from your workbench or from review")


def access_flag(user: Any, flag_id: int) -> Flag:
    """A flag in a project that the person reviews or leads. Raises NotFound, and Refused to its other members."""
    return _of_own_project(
        user, Flag.objects.select_related("project").filter(pk=flag_id).first(), f"flag {flag_id}", REVIEW
    )
