"""Projects: made, changed, paused; who is in them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.text import slugify

from annotation.label_config import DEFAULT, DEFAULT_GUIDELINES, label_config_parse
from annotation.models import Assignment, Membership, Project
from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.capture.models import Source
from flywheel.core.actors import SYSTEM
from flywheel.core.errors import Conflict, NotFound, ValidationFailed
from flywheel.core.models import User
from flywheel.core.permissions import allow, require
from flywheel.core.text import plain_lines

MAX_OVERLAP = 20
LEASE_LIMITS = (60, 24 * 3600)
RESERVED_SLUGS = frozenset({"new"})
FIELDS = ("name", "guidelines", "label_config", "overlap", "lease_seconds")


def project_create(
    *, by: User, name: str, slug: str = "", guidelines: str = "", label_config: str = DEFAULT, overlap: int = 1,
    lease_seconds: int = 15 * 60, sources: Iterable[Source] = (),
) -> Project:
    """Make a project; who makes it is its lead.

    Raises Forbidden (leads and admins only), ValidationFailed with the field.
    """
    require("project.create", by)
    name = _name(name)
    # The address is fixed from here on, because links to tasks and the API's clients hold it.
    slug = slug or slugify(name)[:100]
    fields = _checked({
        "name": name, "guidelines": guidelines, "label_config": label_config, "overlap": overlap,
        "lease_seconds": lease_seconds,
    })
    with transaction.atomic():
        _free_slug(slug)
        project = Project.objects.create(slug=slug, **fields)
        project.sources.set(sources)
        Membership.objects.create(project=project, user=by, role=Membership.Role.LEAD)
        ledger_append(
            actor=by, action=Action.PROJECT_CREATE, object=f"project:{project.pk}",
            touched={"project": [project.pk]},
            payload={
                "slug": slug, "overlap": project.overlap, "lead": by.pk, "label_config": project.label_config,
                "sources": sorted(project.sources.values_list("pk", flat=True)),
            },
        )
    return project


def _name(name: str) -> str:
    name = plain_lines(name or "").strip()
    if not name or len(name) > 200:
        raise ValidationFailed(f"the name has {len(name)} characters; give it 1 to 200", field="name")
    return name


def _free_slug(slug: str) -> None:
    if not slug or slug != slugify(slug) or slug in RESERVED_SLUGS or len(slug) > 100:
        raise ValidationFailed(
            f"'{slug}' cannot be part of an address; use lower-case letters, digits and hyphens", field="slug"
        )
    if Project.objects.filter(slug=slug).exists():
        raise ValidationFailed(f"there is a project '{slug}' already; choose another address", field="slug")


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields ready to be stored. Raises ValidationFailed with the field's name."""
    out = dict(fields)
    if "name" in out:
        out["name"] = _name(out["name"])
    if "guidelines" in out:
        out["guidelines"] = plain_lines(out["guidelines"] or "")
        if len(out["guidelines"]) > 50_000:
            raise ValidationFailed("the guidelines are longer than 50,000 characters", field="guidelines")
    if "label_config" in out:
        # Stored parsed, so that no request for a task parses XML or imports the SDK.
        out["label_schema"] = label_config_parse(out["label_config"]).to_json()
    if "overlap" in out:
        out["overlap"] = _between(out["overlap"], 1, MAX_OVERLAP, "overlap")
    if "lease_seconds" in out:
        out["lease_seconds"] = _between(out["lease_seconds"], *LEASE_LIMITS, "lease_seconds")
    return out


def _between(value: int, low: int, high: int, field: str) -> int:
    # `True` is an int in Python, and JSON's true would be taken for 1.
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ValidationFailed(f"{field} is {value!r}; it must be a whole number from {low} to {high}", field=field)
    return value


def project_change(
    *, project: Project, by: User, sources: Iterable[Source] | None = None, **changes: Any
) -> Project:
    """Change fields (name, guidelines, label_config, overlap, lease_seconds) and sources. What is None stays.

    A new overlap holds for tasks made from now on. Raises Forbidden (its leads and admins only), ValidationFailed.
    """
    require("project.change", by, project)
    unknown = set(changes) - set(FIELDS)
    if unknown:
        raise ValidationFailed(f"a project has no field '{sorted(unknown)[0]}' that can be changed")
    fields = _checked({name: value for name, value in changes.items() if value is not None})
    with transaction.atomic():
        locked = Project.objects.select_for_update(of=("self",)).get(pk=project.pk)
        # Compared under the lock, so that saving a form without a change writes no ledger entry.
        changed = {name: value for name, value in fields.items() if getattr(locked, name) != value}
        Project.objects.filter(pk=project.pk).update(**changed) if changed else None
        # The schema is left out of the ledger, because it follows from the configuration, which is in it.
        told = {name: value for name, value in changed.items() if name != "label_schema"}
        told |= _set_sources(locked, sources)
        if told:
            ledger_append(
                actor=by, action=Action.PROJECT_CHANGE, object=f"project:{project.pk}",
                touched={"project": [project.pk]},
                payload=told,
            )
    project.refresh_from_db()
    return project


def _set_sources(project: Project, sources: Iterable[Source] | None) -> dict[str, Any]:
    if sources is None:
        return {}
    before = set(project.sources.values_list("pk", flat=True))
    after = {source.pk for source in sources}
    if before == after:
        return {}
    project.sources.set(after)
    if after - before:
        # The new source's examples may be older than what was read so far; those with a task are passed over.
        Project.objects.filter(pk=project.pk).update(last_example_id=0)
    return {"sources": sorted(after)}


def project_archive(*, project: Project, by: User, archived: bool) -> Project:
    """Pause a project, so that no task is given out, or resume it. Reviews go on. Raises Forbidden."""
    require("project.change", by, project)
    with transaction.atomic():
        locked = Project.objects.select_for_update(of=("self",)).get(pk=project.pk)
        if (locked.archived_at is not None) != archived:
            Project.objects.filter(pk=project.pk).update(archived_at=timezone.now() if archived else None)
            ledger_append(
                actor=by,
                action=Action.PROJECT_PAUSE if archived else Action.PROJECT_RESUME,
                object=f"project:{project.pk}",
                touched={"project": [project.pk]},
            )
    project.refresh_from_db()
    return project


def membership_set(*, project: Project, user: User, role: str, by: User | None = None) -> Membership:
    """Give a person a role in a project; again changes nothing. `by` None is the system (command line, demo)."""
    if role not in Membership.Role.values:
        raise ValidationFailed(f"'{role}' is not a role; there are: {', '.join(Membership.Role.values)}", field="role")
    if by is not None:
        require("project.change", by, project)
    with transaction.atomic():
        membership, created = Membership.objects.get_or_create(project=project, user=user, role=role)
        if created:
            ledger_append(
                actor=by or SYSTEM, action=Action.MEMBERSHIP_SET, object=f"project:{project.pk}",
                touched={"project": [project.pk], "user": [user.pk]},
                payload={"user": user.pk, "role": role},
            )
    return membership


def membership_remove(*, project: Project, user: User, role: str, by: User) -> None:
    """Take a role in a project from a person; their answers stay, their leases run out, and what was sent back to
    them is kept for them no longer.

    Raises NotFound, Forbidden, and Conflict for the last lead.
    """
    require("project.change", by, project)
    with transaction.atomic():
        # Two leads who remove each other at once would otherwise both find another lead and leave none.
        Project.objects.select_for_update(of=("self",)).get(pk=project.pk)
        found = Membership.objects.filter(project=project, role=role)
        mine = found.filter(user=user)
        if not mine.exists():
            raise NotFound(f"{user} has not the role '{role}' in '{project.name}'")
        if role == Membership.Role.LEAD and found.count() == 1:
            raise Conflict(f"{user} is the last lead of '{project.name}'; add another lead first")
        mine.delete()
        # Only when no other role lets the person annotate; what was sent back is then free for others at once instead
        # of after a day.
        if not allow("task.annotate", user, project):
            sent_back = Assignment.objects.filter(project=project, user=user, status=Assignment.Status.RETURNED)
            sent_back.update(expires_at=timezone.now())
        ledger_append(
            actor=by, action=Action.MEMBERSHIP_REMOVE, object=f"project:{project.pk}",
            touched={"project": [project.pk], "user": [user.pk]},
            payload={"user": user.pk, "role": role},
        )


def default_project_ensure(
    *, by: User, sources: Iterable[Source], name: str = "Support replies", slug: str = "support-replies",
    overlap: int = 1,
) -> Project:
    """The project that a first run and the demo work in, made when it is missing: default labels and guidelines.

    Sources are added to those it has, never taken away.
    """
    wanted = list(sources)
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        return project_create(
            by=by, name=name, slug=slug, guidelines=DEFAULT_GUIDELINES, label_config=DEFAULT, overlap=overlap,
            sources=wanted,
        )
    return project_change(project=project, by=by, sources=[*project.sources.all(), *wanted])
