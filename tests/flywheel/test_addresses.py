"""Every address of Flywheel, requested with every role and without signing in.

The addresses are read from the URLconf and the roles from the table of permissions, so a new address fails here until
it names a permission. `addresses.txt` pins the result, so that a change of the table is seen in review.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from annotation.models import Annotation, Assignment, Flag, Membership, Task
from flywheel.capture.models import Capture
from flywheel.core.access import ADMIN, ROLES
from flywheel.core.models import User
from flywheel.core.permissions import names, roles_allowed
from flywheel.runs.models import RunArtifact
from flywheel.ui.saved_views import view_save
from flywheel.work.models import Job
from provenance.models import ConsentRecord, Subject, Withdrawal
from tests.conftest import make_user
from tests.flywheel.dashboard.conftest import Turn, member, project, source, turn  # noqa: F401

PUBLIC = ("healthz", "accounts/", "api/v1/schema/", "budget/")
"""Open without signing in: sign-in itself, the API's description, an old address that redirects."""

MATRIX = Path(__file__).with_name("addresses.txt")
"""Each address with its permission and the roles that open it without part in the object, as reviewed."""

# Who is refused does not depend on the engine; that its SQL runs is seen with one role.
ON_POSTGRESQL = settings.DATABASES["default"]["ENGINE"].endswith("postgresql")

REFUSED = (401, 403, 404, 405)
BODY = {"draft": [], "version": 1, "result": [], "reason": "other", "decision": "accept", "text": "x"}


def addresses(patterns: Any = None, before: str = "") -> Iterator[tuple[str, URLPattern]]:
    """Every route of the URLconf with its pattern; Django's own admin apart, which is for superusers."""
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        route = before + str(entry.pattern)
        if isinstance(entry, URLResolver):
            if entry.app_name != "admin":
                yield from addresses(entry.url_patterns, route)
        else:
            yield route, entry


@pytest.fixture
def things(turn: Turn, member: Any, annotator: User, lead: User) -> dict[str, dict[str, Any]]:  # noqa: F811
    """Values for the parameters of addresses, by the route's first words: real things of one project."""
    run, now = turn.model.run, timezone.now()
    task = Task.objects.get(example=turn.waiting)
    held = Assignment.objects.create(task=task, project=turn.project, user=annotator, leased_at=now, expires_at=now)
    flag = Flag.objects.create(task=task, project=turn.project, reason="unclear", raised_by=annotator)
    subject = Subject.objects.create(namespace="acme", external_ref="c-1")
    withdrawal = Withdrawal.objects.create(subject=subject)
    ConsentRecord.objects.create(record_id="consent-1", subject=subject)
    dead = Capture.objects.first()
    assert dead is not None
    RunArtifact.objects.create(run=run, path="model/a.safetensors", storage_path="none", sha256="0" * 64, size=1)
    job = Job.objects.create(kind="test", visible=True, title="Long work", requested_by=lead)
    record = turn.waiting.provenance
    return {
        "people/": {"pk": lead.pk, "membership_id": Membership.objects.filter(user=lead).values_list("pk", flat=True)[0]},
        "jobs/": {"uid": job.uid}, "examples/": {"uid": turn.taught.uid}, "runs/": {"uid": run.uid},
        "models/": {"name": turn.model.name}, "snapshots/": {
            "uid": run.snapshot.uid, "example_uid": turn.taught.uid, "name": "manifest.json", "split": "train",
            "export": "openai"},
        "annotate/": {"pk": held.pk}, "review/": {"pk": task.pk}, "projects/": {"pk": task.pk},
        "flags/": {"pk": flag.pk}, "tasks/": {"pk": task.pk}, "assignments/": {"pk": held.pk},
        "annotations/": {"pk": Annotation.objects.get().pk}, "records/": {"uid": record.uid},
        "subjects/": {"uid": subject.uid}, "withdrawals/": {"uid": withdrawal.uid}, "sources/": {
            "name": "acme", "pk": dead.pk}, "views/": {"pk": view_save(user=lead, path="/runs/", query="", name="All").pk},
        "": {
            "slug": turn.project.slug, "path": "model/a.safetensors", "purpose": "sft", "rule": "no_consent",
            "decision": "quarantine", "what": "budget", "kind": "run", "uid": run.uid, "token_key": "0" * 15,
            "record_id": "consent-1", "name": "tasks", "key": "0-0", "uidb36": "0",
        },
    }


def permission_of(entry: URLPattern) -> str:
    """The permission that a page or an API view names; "" for a view without one."""
    view: Any = getattr(entry.callback, "view_class", entry.callback)
    return str(getattr(view, "permission", ""))


def open_to(route: str) -> frozenset[str]:
    """The roles that open an address without part in its object: all of its memberships and requests are other people's.

    An address without a parameter lists what the person has part in, so part in some object is assumed there.
    """
    return roles_allowed(GUARDED[route], own="<" not in route)


def in_words(roles: frozenset[str]) -> str:
    """The roles as `addresses.txt` has them."""
    return "everyone" if roles == {"none", *ROLES} else " ".join(sorted(roles)) or "-"


def filled(route: str, things: dict[str, dict[str, Any]]) -> str:
    """The address of real things."""
    first = re.match(r"[^<]*?/", route.removeprefix("api/v1/"))
    values = things[""] | things.get(first[0] if first else "", {})
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda m: str(values[m[1]]), route)


def asked(client: Client, method: str, path: str) -> tuple[int, str]:
    """The status and where it redirects; the changes of the request are rolled back."""
    with transaction.atomic():
        answer = getattr(client, method)(path, BODY, content_type="application/json") if "/api/" in path and (
            method == "post") else getattr(client, method)(path)
        transaction.set_rollback(True)
    if answer.streaming:
        # A streamed file stays open until it is read to its end.
        answer.getvalue()
    return answer.status_code, answer.get("Location", "")


GUARDED = {route: permission_of(entry) for route, entry in addresses() if not route.startswith(PUBLIC)}


def test_every_address_names_a_permission() -> None:
    assert {route: name for route, name in GUARDED.items() if name not in names()} == {}


def test_every_permission_is_used(pytestconfig: pytest.Config) -> None:
    root = pytestconfig.rootpath
    code = "".join(
        path.read_text() for app in ("flywheel", "annotation", "provenance")
        for path in (root / app).rglob("*.py") if path.name != "access.py"
    )
    assert [name for name in names() if f'"{name}"' not in code] == []


def test_the_roles_of_each_address_are_as_reviewed() -> None:
    found = {f"{route or '(home)'}  {GUARDED[route]}  {in_words(open_to(route))}" for route in GUARDED}
    reviewed = set(MATRIX.read_text().splitlines())
    assert found == reviewed, f"change {MATRIX.name} if this is meant: {found - reviewed} for {reviewed - found}"


def test_no_address_answers_before_signing_in(things: Any) -> None:
    for route in GUARDED:
        for method in ("get", "post"):
            status, location = asked(Client(), method, filled(route, things))
            signs_in = status == 302 and location.startswith("/accounts/login/")
            assert signs_in or status in (401, 405), f"{method} {route} answers {status} {location}"


@pytest.mark.parametrize("who", ["none", *ROLES] if ON_POSTGRESQL else [ADMIN])
def test_each_address_answers_exactly_the_roles_of_its_permission(
    who: str, things: Any, client_of: Callable[[User], Client]
) -> None:
    user = make_user(f"other-{who}", *([] if who == "none" else [who]))
    for route in GUARDED:
        allowed = who in open_to(route)
        statuses = [asked(client_of(user), method, filled(route, things))[0] for method in ("get", "post")]
        if not allowed:
            assert set(statuses) <= set(REFUSED), f"{route} answers {who} with {statuses}"
        # A page may refuse a faulty request or a missing object, but not the role.
        assert not allowed or set(statuses) - {401, 403, 405}, f"{route} refuses {who} with {statuses}"


def test_no_page_and_no_endpoint_changes_anything_for_another_site(things: Any, admin: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)
    for route in GUARDED:
        status, _ = asked(client, "post", filled(route, things))
        assert status in (401, 403, 405), f"post {route} without the form's token answers {status}"


def test_only_a_superuser_opens_the_django_admin(
    admin: User, client_of: Callable[[User], Client], django_user_model: Any
) -> None:
    owner = django_user_model.objects.create_superuser("root", password="root")
    staff = make_user("staff", *ROLES, is_staff=True)
    for path in ("/admin/", "/admin/work/job/"):
        assert client_of(owner).get(path).status_code == 200
        for person in (admin, staff):
            assert client_of(person).get(path).status_code in (302, 403), path
