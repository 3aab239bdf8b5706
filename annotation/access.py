"""Who may do what in a project. Membership decides; an admin manages every project and annotates in none unasked."""

from __future__ import annotations

from typing import Any, TypeVar

from django.db.models import QuerySet

from annotation.models import Annotation, Assignment, Flag, Membership, Project, Task
from flywheel.core.access import LEAD
from flywheel.core.errors import NotFound
from flywheel.core.models import User
from flywheel.core.permissions import (
    ADMINS,
    SIGNED_IN,
    Fact,
    Permission,
    Person,
    Predicate,
    allow,
    listed,
    register,
    require,
    role,
)

Row = TypeVar("Row", Task, Annotation, Flag)

# In this order a membership is chosen when a person has several: leads step in where there is need.
ANNOTATING = (Membership.Role.ANNOTATOR, Membership.Role.LEAD)
REVIEWING = (Membership.Role.REVIEWER, Membership.Role.LEAD)


def roles_in(user: Person, project: Project) -> frozenset[str]:
    """The person's roles in a project; an inactive person has none."""
    # Deactivated people keep their memberships, so that reactivating restores them.
    if not user.is_active:
        return frozenset()
    return frozenset(
        Membership.objects.filter(project=project, user_id=user.pk).values_list("role", flat=True)
    )


def member(*roles: str) -> Predicate:
    """A person with any of these roles in the project, or in the project of the object; any role when none is named."""

    def has_membership(user: User, obj: Any) -> bool:
        project = obj if isinstance(obj, Project) else obj.project
        return not roles_in(user, project).isdisjoint(roles or Membership.Role.values)

    return Fact(listed([f"{name}s" for name in roles]) or "members", has_membership, place="project")


def _worked_on(user: User, task: Task) -> bool:
    """Whether the task was given to the person at some time, and the person is still a member."""
    # Membership is asked too, because people who left the project must not act on it any more.
    mine = Assignment.objects.filter(task=task, user_id=user.pk, project__memberships__user=user.pk)
    return mine.exists()


def _leads_any(user: User, obj: Any) -> bool:
    return Membership.objects.filter(user_id=user.pk, role=Membership.Role.LEAD).exists()


leads_project = member(Membership.Role.LEAD)
_LEADS_OF_ANY = Fact("leads of a project", _leads_any, about_object=False)
_ASK_LEAD = "its lead can give you the role"

register({
    "project.view": Permission("opening a project", ADMINS | member(), _ASK_LEAD),
    "project.read": Permission("reading all tasks and answers", ADMINS | member(*REVIEWING), _ASK_LEAD),
    "project.change": Permission("changing a project", ADMINS | leads_project),
    "project.create": Permission("making a project", role(LEAD) | ADMINS),
    "project.preview": Permission("writing guidelines and labels", role(LEAD) | ADMINS | _LEADS_OF_ANY),
    "project.choose": Permission("choosing a project", SIGNED_IN),
    "task.annotate": Permission("annotating", member(*ANNOTATING), _ASK_LEAD),
    "task.review": Permission("reviewing", member(*REVIEWING), _ASK_LEAD),
    "task.flag": Permission(
        "flagging a task", member(*REVIEWING) | Fact("annotators who worked on it", _worked_on), _ASK_LEAD
    ),
    "assignment.own": Permission(
        "working on an assignment", Fact("the annotator who has it", lambda user, held: held.user_id == user.pk)
    ),
})


def projects_of(user: Person) -> QuerySet[Project]:
    """The projects for which the permission "project.view" holds, as a query."""
    # Before the memberships, because an admin sees every project and is usually a member of none.
    if ADMINS(user):
        return Project.objects.all()
    if not user.is_active:
        return Project.objects.none()
    return Project.objects.filter(pk__in=Membership.objects.filter(user_id=user.pk).values("project_id"))


def access_project(user: Person, slug: str, name: str = "project.view") -> Project:
    """The project, if the person has this permission in it.

    Raises NotFound to people who may not even see it, so that names of projects do not leak, and Forbidden to members
    without the permission.
    """
    project = Project.objects.filter(slug=slug).first()
    if project is not None and allow(name, user, project):
        return project
    # Asked only after a refusal, because a permission in the project implies that the person may see it.
    if project is None or not allow("project.view", user, project):
        raise NotFound(f"you are not a member of a project '{slug}'; its lead can add you")
    require(name, user, project)
    return project


def access_membership(user: User, project: Project, name: str) -> Membership:
    """The membership by which the person has "task.annotate" or "task.review" in the project, the plainer role first.

    Raises Forbidden.
    """
    roles = ANNOTATING if name == "task.annotate" else REVIEWING
    found = {
        # All roles in one query: a lead who is also an annotator has two rows.
        row.role: row
        for row in Membership.objects.filter(project=project, user_id=user.pk, role__in=roles)
    }
    for held in roles:
        if held in found and user.is_active:
            return found[held]
    require(name, user, project)
    # Between the two queries another request can give the role; the next request then finds the membership.
    raise NotFound(f"the membership of {user} in '{project.name}' changed a moment ago; reload the page")


def access_assignment(user: User, assignment_id: int) -> Assignment:
    """One's own assignment with its task and project. Raises NotFound, also for another person's."""
    found = (
        Assignment.objects.select_related("task", "project").filter(pk=assignment_id, user_id=user.pk).first()
    )
    if found is None:
        # The same answer for a number that does not exist, because assignments are numbered in one row over all
        # projects.
        raise NotFound(f"assignment {assignment_id} is not yours; open your project to get a task")
    return found


def access_task(user: Person, task_id: int, name: str = "task.review") -> Task:
    """A task of a project in which the person has this permission. Raises NotFound or Forbidden."""
    return _of_own_project(
        user, Task.objects.select_related("project").filter(pk=task_id).first(), f"task {task_id}", name
    )


def access_annotation(user: Person, annotation_id: int, name: str) -> Annotation:
    """An annotation of a project in which the person has this permission. Raises NotFound or Forbidden."""
    return _of_own_project(
        user, Annotation.objects.select_related("project").filter(pk=annotation_id).first(),
        f"annotation {annotation_id}", name,
    )


def _of_own_project(user: Person, row: Row | None, called: str, name: str) -> Row:
    """The row, if the person has the permission in its project.

    Raises Forbidden to members without it. To people outside the project it raises the NotFound of a row that does not
    exist, because an error must not give away which rows exist.
    """
    if row is None:
        raise NotFound(f"{called} does not exist")
    try:
        access_project(user, row.project.slug, name)
    # The project's refusal names the project, and with it that the row exists, so it is replaced.
    except NotFound as error:
        raise NotFound(f"{called} does not exist") from error
    return row


def access_flaggable(user: Person, task_id: int) -> Task:
    """A task that the person may flag: one given to them at some time, or one of a project that they review.

    Raises NotFound otherwise, also when the task exists, because its number alone must give nothing away.
    """
    task = Task.objects.select_related("project").filter(pk=task_id).first()
    if task is not None and allow("task.flag", user, task):
        return task
    raise NotFound(f"task {task_id} is not one that you work on; flag a task from your workbench or from review")


def access_flag(user: Person, flag_id: int) -> Flag:
    """A flag in a project that the person reviews or leads. Raises NotFound, and Forbidden to its other members."""
    return _of_own_project(
        user, Flag.objects.select_related("project").filter(pk=flag_id).first(), f"flag {flag_id}", "task.review"
    )
