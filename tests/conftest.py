"""The cast that every test shares: one person per role, a second annotator, and a stranger without any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import connection
from django.test import Client
from rest_framework.test import APIClient

from flywheel.core.models import User


def _on_postgresql() -> bool:
    return settings.DATABASES["default"]["ENGINE"].endswith("postgresql")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("postgres") and not _on_postgresql():
            item.add_marker(pytest.mark.skip(reason="runs on PostgreSQL: set FLYWHEEL_TEST_DATABASE_URL"))


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """SQLite empties tables between tests by deleting rows, which the ledger's trigger refuses, rightly."""
    with django_db_blocker.unblock():
        if connection.vendor == "sqlite":
            with connection.cursor() as cursor:
                cursor.execute("DROP TRIGGER IF EXISTS ledger_no_delete")


@pytest.fixture(autouse=True)
def _roles_survive_flushes(request: pytest.FixtureRequest) -> None:
    """A transactional test empties every table after it; the roles come from a migration and have to be there."""
    wanted = next((name for name in ("transactional_db", "db") if name in request.fixturenames), None)
    if wanted is not None:
        request.getfixturevalue(wanted)
        for name in ("annotator", "reviewer", "lead", "steward", "admin"):
            Group.objects.get_or_create(name=name)


@pytest.fixture(autouse=True)
def _own_files(tmp_path: Any, settings: Any) -> None:
    """Each test writes its files below its own folder."""
    settings.STORAGES = settings.STORAGES | {
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path / "files")},
        }
    }


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
