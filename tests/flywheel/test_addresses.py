"""Every address of the product, tried by everybody who should not be let in.

The addresses are read from the URLconf, so that a new one fails here until somebody has said for whom it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from annotation.models import Annotation, Assignment, Flag, Membership, Task
from flywheel.capture.models import Capture
from flywheel.core.access import ROLES
from flywheel.core.models import User
from flywheel.runs.models import RunArtifact
from flywheel.work.models import Job
from provenance.models import ConsentRecord, Subject, Withdrawal
from tests.conftest import make_user
from tests.flywheel.dashboard.conftest import Turn, member, project, source, turn  # noqa: F401

ALL = frozenset({"stranger", *ROLES})
DECIDERS = frozenset({"lead", "steward", "admin"})
STEWARDS = frozenset({"steward", "admin"})
REQUESTERS = frozenset({"lead", "admin"})
ADMINS = frozenset({"admin"})
NOBODY: frozenset[str] = frozenset()

PUBLIC = ("healthz", "accounts/", "api/v1/schema/", "budget/")
"""Open without signing in: sign-in itself, the API's description, an old address that redirects."""

OPEN_TO: tuple[tuple[str, frozenset[str]], ...] = (
    # The first match counts. Everybody has these pages, each with nothing but one's own in it.
    (r"|account/|tokens/.*|jobs/|annotate/|review/|projects/|api/v1/projects/", ALL),
    (r"jobs/.+", STEWARDS),
    (r"people/.*|budgets/.*|recipes/new/|sources/dead/.*", ADMINS),
    (r"api/v1/(runs|models)/<[^/]*>/(approve|promote)/", ADMINS),
    (r"(runs|models)/<[^/]*>/(approve|promote)/", ADMINS),
    (r"(api/v1/)?models/<[^/]*>/decide/", STEWARDS),
    (r"(api/v1/)?runs/(new|estimate)/|projects/new/|projects/preview/.*", REQUESTERS),
    (r"api/v1/(sources/.*|examples/.*|captures/.*)|wheel/(answers/)?|recipes/|examples/.*", DECIDERS),
    (r"sources/(new/|<[^/]*>/edit/)", STEWARDS),
    (r"sources/.*|deliveries/|snapshots/(new/)?|runs/|models/|api/v1/(snapshots|runs|models)/", DECIDERS),
    (r"(api/v1/)?(clearance|records|subjects|withdrawals|ledger|consents)/.*", STEWARDS),
    # What stands in one project is for its own people, the stewards and the admins.
    (r"(api/v1/)?(runs/<[^/]*>/cancel|models/<[^/]*>/(publish|suggestions))/", ADMINS),
    (r"(api/v1/)?(snapshots|runs|models)/.+", STEWARDS),
    (r"(api/v1/)?(projects|annotate|review|tasks|flags|assignments|annotations)/.+", ADMINS),
    # Trainers' tokens only.
    (r"api/v1/worker/.*", NOBODY),
)
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
    """What stands in addresses, by the route's first words: real things of one project."""
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
            "name": "acme", "pk": dead.pk}, "": {
            "slug": turn.project.slug, "path": "model/a.safetensors", "purpose": "sft", "rule": "no_consent",
            "decision": "quarantine", "what": "budget", "kind": "run", "uid": run.uid, "token_key": "0" * 15,
            "record_id": "consent-1", "name": "tasks", "key": "0-0", "uidb36": "0",
        },
    }


def open_to(route: str) -> frozenset[str]:
    """Who may be answered at a route, without a part in the project. Fails for a route that nobody has thought of."""
    for known, people in OPEN_TO:
        if re.fullmatch(known, route):
            return people
    raise AssertionError(f"say in OPEN_TO for whom {route!r} is")


def filled(route: str, things: dict[str, dict[str, Any]]) -> str:
    """The address of real things."""
    first = re.match(r"[^<]*?/", route.removeprefix("api/v1/"))
    values = things[""] | things.get(first[0] if first else "", {})
    return "/" + re.sub(r"<(?:\w+:)?(\w+)>", lambda m: str(values[m[1]]), route)


def asked(client: Client, method: str, path: str) -> tuple[int, str]:
    """The status and where it redirects; what the request changed is taken back."""
    with transaction.atomic():
        answer = getattr(client, method)(path, BODY, content_type="application/json") if "/api/" in path and (
            method == "post") else getattr(client, method)(path)
        transaction.set_rollback(True)
    return answer.status_code, answer.get("Location", "")


GUARDED = [route for route, _ in addresses() if not route.startswith(PUBLIC)]


def test_nobody_is_answered_before_signing_in(things: Any) -> None:
    for route in GUARDED:
        for method in ("get", "post"):
            status, location = asked(Client(), method, filled(route, things))
            signs_in = status == 302 and location.startswith("/accounts/login/")
            assert signs_in or status in (401, 405), f"{method} {route} answers {status} {location}"


@pytest.mark.parametrize("who", ["stranger", *ROLES])
def test_each_address_refuses_whom_it_is_not_for(who: str, things: Any, client_of: Callable[[User], Client]) -> None:
    user = make_user(f"other-{who}", *([] if who == "stranger" else [who]))
    for route in GUARDED:
        if who in open_to(route):
            continue
        for method in ("get", "post"):
            status, _ = asked(client_of(user), method, filled(route, things))
            assert status in REFUSED, f"{method} {route} answers {who} with {status}"


def test_no_page_and_no_endpoint_changes_anything_for_another_site(things: Any, admin: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin)
    for route in GUARDED:
        status, _ = asked(client, "post", filled(route, things))
        assert status in (401, 403, 405), f"post {route} without the form's token answers {status}"


def test_only_a_superuser_is_let_into_the_machine_room(
    admin: User, client_of: Callable[[User], Client], django_user_model: Any
) -> None:
    owner = django_user_model.objects.create_superuser("root", password="root")
    staff = make_user("staff", *ROLES, is_staff=True)
    for path in ("/admin/", "/admin/work/job/"):
        assert client_of(owner).get(path).status_code == 200
        for person in (admin, staff):
            assert client_of(person).get(path).status_code in (302, 403), path
