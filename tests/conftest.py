"""The cast that every test shares: one person per role, a second annotator, and a stranger without any."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from filelock import FileLock
from hypothesis import HealthCheck
from hypothesis import settings as properties
from rest_framework.test import APIClient

from flywheel.core.actors import SystemActor
from flywheel.core.models import User
from tests import engine, migrated

# The machine's momentary speed must not decide a test, so properties have no deadline. The unit lane tries each property
# on a few examples; `make test` tries many more once: --hypothesis-profile=thorough.
UNTIMED: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
properties.register_profile("thorough", max_examples=100, **UNTIMED)
properties.register_profile("quick", max_examples=15, **UNTIMED)
properties.load_profile("quick")

TESTER = SystemActor("test")
"""Who acts in tests where no person does."""


def _on_postgresql() -> bool:
    return settings.DATABASES["default"]["ENGINE"].endswith("postgresql")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    for item in items:
        path = item.path.relative_to(config.rootpath).as_posix()
        if {"db", "transactional_db"}.intersection(getattr(item, "fixturenames", ())) or item.get_closest_marker("django_db"):
            item.add_marker(pytest.mark.database)
            if engine.is_engine(path):
                item.add_marker(pytest.mark.engine)
        if item.get_closest_marker("sweep"):
            item.add_marker(pytest.mark.slow)
        if item.get_closest_marker("postgres") and not _on_postgresql():
            item.add_marker(pytest.mark.skip(reason="runs on PostgreSQL: set FLYWHEEL_TEST_DATABASE_URL"))
    yield
    # Last, because pytest-django sorts too: transactional tests after all others.
    items.sort(key=lambda item: engine.weight(item.path.relative_to(config.rootpath).as_posix()))


@pytest.fixture(scope="session")
def django_db_keepdb(django_db_modify_db_settings: None, django_db_keepdb: bool) -> bool:
    """On SQLite a process starts from a copy of a migrated database, when one is there."""
    return django_db_keepdb or (
        connection.vendor == "sqlite" and migrated.take(Path(connection.settings_dict["TEST"]["NAME"]))
    )


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any, django_db_keepdb: bool) -> Iterator[None]:
    """Tables are emptied between tests by deleting or truncating, which the ledger's triggers refuse, rightly."""
    with django_db_blocker.unblock():
        if connection.vendor == "sqlite":
            migrated.keep(Path(connection.settings_dict["NAME"]))
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute("DROP TRIGGER IF EXISTS ledger_no_delete")
                cursor.execute("DROP TRIGGER IF EXISTS ledger_subject_no_delete")
            else:
                cursor.execute("DROP TRIGGER IF EXISTS ledger_no_truncate ON audit_ledgerentry")
                cursor.execute("DROP TRIGGER IF EXISTS ledger_subject_no_truncate ON audit_ledgersubject")
                cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
                if cursor.fetchone() == (True,):
                    connection.ops.sql_flush = _deletes  # type: ignore[method-assign]
    yield
    if connection.vendor == "sqlite" and django_db_keepdb:
        with django_db_blocker.unblock():
            connection.close()
        # Django leaves a database alone that it did not make.
        Path(connection.settings_dict["NAME"]).unlink(missing_ok=True)


def _deletes(style: Any, tables: list[str], **options: bool) -> list[str]:
    """The statement that empties the tables after a transactional test.

    TRUNCATE gives every table and index a new file, which takes 0.4 s for all of ours and 4 s on a busy disk; deleting
    the few rows of a test takes 0.16 s. Triggers and foreign keys are off meanwhile, which a superuser may do.
    """
    deleted = " ".join(f'DELETE FROM "{name}";' for name in tables)
    return [f"DO $$ BEGIN SET LOCAL session_replication_role = replica; {deleted} END $$"] if tables else []


@pytest.fixture(autouse=True)
def _roles_survive_flushes(request: pytest.FixtureRequest) -> None:
    """A transactional test empties every table after it; the roles come from a migration and must be there."""
    wanted = next((name for name in ("transactional_db", "db") if name in request.fixturenames), None)
    if wanted is not None:
        request.getfixturevalue(wanted)
        absent = {"annotator", "reviewer", "lead", "steward", "admin"}.difference(
            Group.objects.values_list("name", flat=True)
        )
        Group.objects.bulk_create([Group(name=name) for name in sorted(absent)])


@pytest.fixture(autouse=True)
def _one_crowd_at_a_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fifty connections each: two such tests at once would ask for more than a server gives by default."""
    if request.node.get_closest_marker("postgres") is None:
        yield
        return
    with FileLock(Path(tempfile.gettempdir()) / f"flywheel-crowds-{os.getuid()}.lock"):
        yield


@pytest.fixture(autouse=True)
def _own_files(tmp_path: Any, settings: Any) -> None:
    """Each test writes its files below its own folder."""
    settings.STORAGES = settings.STORAGES | {
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "files")},
        }
    }


def squeezed(answer: Any) -> str:
    """A page's HTML with each run of white space as one space, because line breaks of a template mean nothing."""
    return " ".join(answer.content.decode().split())


def make_user(name: str, *roles: str, **fields: Any) -> User:
    """A person with roles; the password is the name."""
    user = User.objects.create_user(username=name, password=name, **fields)
    # A transactional test before this one has emptied the table that a migration filled.
    user.groups.set([Group.objects.get_or_create(name=role)[0] for role in roles])
    return user


@pytest.fixture
def annotator(db: None) -> User:
    return make_user("ann", "annotator")


@pytest.fixture
def annotator2(db: None) -> User:
    return make_user("bea", "annotator")


@pytest.fixture
def reviewer(db: None) -> User:
    return make_user("rex", "reviewer")


@pytest.fixture
def lead(db: None) -> User:
    return make_user("lea", "lead")


@pytest.fixture
def steward(db: None) -> User:
    return make_user("stu", "steward")


@pytest.fixture
def admin(db: None) -> User:
    return make_user("ada", "admin")


@pytest.fixture
def stranger(db: None) -> User:
    return make_user("sid")


@pytest.fixture
def client_of() -> Callable[[User], Client]:
    """A signed-in browser of a person."""

    def make(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return make


@pytest.fixture
def api_of() -> Callable[[User], APIClient]:
    """A REST client with a person's token."""

    def make(user: User) -> APIClient:
        from knox.models import AuthToken

        _, token = AuthToken.objects.create(user)
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Token {token}")
        return client

    return make
