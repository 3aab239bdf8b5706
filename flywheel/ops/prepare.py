"""What a first run needs: demo people, the sample with its consents, a project, recipes and a base model.

Every step looks first at what is there, so that preparing again is quick and keeps the data. The steps themselves are
the apps' own services; base models are made by the trainer in its own process, because torch is not imported here.
"""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import transaction

from annotation import services as annotation
from annotation.models import Membership, Project
from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.capture.models import Source
from flywheel.core.access import ROLES
from flywheel.core.actors import SYSTEM
from flywheel.core.errors import ValidationFailed
from flywheel.core.models import User
from flywheel.runs.selectors import figures_of

REAL_MODEL = "smollm2-135m-instruct"
TINY_MODEL = "tiny"
PROJECT_SLUG = "support-replies"


def port_check(port: int) -> None:
    """Raises ValidationFailed when the web could not listen on this port of loopback."""
    fix = "stop what listens there, or choose another port: make run PORT=8001"
    if not 1 <= port <= 65535:
        raise ValidationFailed(f"PORT is {port}; a port is a number from 1 to 65535")
    with socket.socket() as probe:
        # As the web server does, so that connections of one that has just stopped do not hinder us.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ValidationFailed(f"port {port} of 127.0.0.1 cannot be used ({error.strerror}); {fix}") from None


def people_ensure() -> dict[str, str]:
    """Make one person per role where none of that name exists. Returns the passwords of those made now."""
    made: dict[str, str] = {}
    for role in ROLES:
        if User.objects.filter(username=role).exists():
            continue
        made[role] = secrets.token_urlsafe(12)
        with transaction.atomic():
            user = User.objects.create_user(
                username=role, password=made[role], display_name=f"Demo {role}", email=f"{role}@example.com"
            )
            user.groups.add(Group.objects.get(name=role))
            ledger_append(
                actor=SYSTEM, action=Action.PERSON_CREATE, object=f"user:{user.pk}",
                touched={"user": [user.pk]},
                payload={"roles": [role]},
            )
    return made


def person(role: str) -> User:
    """The demo person of a role."""
    return User.objects.get(username=role)


def project_ensure(*, sources: list[str], overlap: int = 1) -> Project:
    """The demo project over these sources, with the demo people as members."""
    project = annotation.default_project_ensure(
        by=person("lead"), sources=list(Source.objects.filter(name__in=sources)), name="Support replies",
        slug=PROJECT_SLUG, overlap=overlap,
    )
    for role in (Membership.Role.ANNOTATOR, Membership.Role.REVIEWER, Membership.Role.LEAD):
        annotation.membership_set(project=project, user=person(role), role=role, by=person("lead"))
    return project


def base_model_folder(name: str) -> Path:
    """Where a base model lies on this machine."""
    return Path(settings.FLYWHEEL["MODELS_DIR"]) / name


def base_model_ensure(name: str) -> bool:
    """Have the trainer make a base model of packaged weights. Returns whether it was made now.

    Raises RuntimeError with the trainer's own words when it cannot.
    """
    folder = base_model_folder(name)
    there = (folder / "revision.json").exists()
    if there and figures_of(name).measured:
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "training", "base-model", name, str(folder)],
        cwd=settings.BASE_DIR, env=os.environ | {"HF_HUB_OFFLINE": "1"}, capture_output=True, text=True, check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines()
        raise RuntimeError(f"the base model {name!r} could not be made: {lines[-1] if lines else 'no reason given'}")
    return not there
