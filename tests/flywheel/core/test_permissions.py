"""The table of permissions: predicates, refusals in words, and what a name that is not in it does."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser

from flywheel.core.access import ADMIN, LEAD
from flywheel.core.actors import SYSTEM, SystemActor, actor_name, person_of
from flywheel.core.errors import Forbidden
from flywheel.core.models import User
from flywheel.core.permissions import (
    SIGNED_IN,
    Fact,
    Permission,
    allow,
    permission,
    register,
    require,
    role,
    roles_allowed,
)

OWNS = Fact("owners", lambda user, obj: obj == user.username, place="thing")
KNOWN = Fact("people who are known", lambda user, obj: user.username == "ann", about_object=False)


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of the tests' own."""
    monkeypatch.setattr("flywheel.core.permissions._TABLE", {})
    register({
        "thing.view": Permission("looking at things", SIGNED_IN),
        "thing.change": Permission("changing a thing", role(ADMIN) | (role(LEAD) & OWNS)),
        "thing.know": Permission("knowing a thing", role(ADMIN) | KNOWN, "ask Ann"),
    })


def test_a_role_suffices_whatever_the_object_is(admin: User, steward: User) -> None:
    assert allow("thing.change", admin, "ann's")
    assert not allow("thing.change", steward, "ann's")


def test_a_fact_about_an_object_is_assumed_without_the_object(lead: User) -> None:
    assert allow("thing.change", lead)
    assert allow("thing.change", lead, lead.username)
    assert not allow("thing.change", lead, "another's")


def test_a_fact_about_the_person_alone_is_tested_without_an_object(annotator: User, lead: User) -> None:
    assert allow("thing.know", annotator)
    assert not allow("thing.know", lead)


def test_both_conditions_must_hold(annotator: User) -> None:
    assert not allow("thing.change", annotator, annotator.username)


def test_a_person_who_is_not_signed_in_or_not_active_may_nothing(admin: User) -> None:
    admin.is_active = False
    for name in ("thing.view", "thing.change"):
        assert not allow(name, AnonymousUser())
        assert not allow(name, admin)


def test_a_process_may_what_was_decided_before() -> None:
    require("thing.change", SYSTEM, "ann's")


def test_a_refusal_says_who_may_and_whom_to_ask(annotator: User, lead: User) -> None:
    with pytest.raises(Forbidden) as refused:
        require("thing.change", lead, "kettle")
    assert refused.value.message == "changing a thing is for admins and the owners of thing 'kettle'; ask one of them"
    assert permission("thing.change").refusal() == (
        "changing a thing is for admins and owners of a thing; ask one of them"
    )
    with pytest.raises(Forbidden, match="is for admins and people who are known; ask Ann"):
        require("thing.know", lead)


def test_roles_allowed_are_those_that_need_no_part_in_the_object() -> None:
    assert roles_allowed("thing.change", own=False) == {"admin"}
    assert roles_allowed("thing.change", own=True) == {"admin", "lead"}
    assert roles_allowed("thing.know", own=True) == {"admin"}
    assert len(roles_allowed("thing.view", own=False)) == 6


def test_a_name_is_taken_once_and_unknown_names_and_roles_are_errors(admin: User) -> None:
    with pytest.raises(ValueError, match=r"'thing\.view' is registered already"):
        register({"thing.view": Permission("again", SIGNED_IN)})
    with pytest.raises(KeyError, match=r"thing\.sell"):
        allow("thing.sell", admin)
    with pytest.raises(ValueError, match="role 'boss' is not known"):
        role("boss")


def test_the_ledger_names_a_person_by_key_and_a_process_by_name(admin: User) -> None:
    assert (actor_name(admin), actor_name(SystemActor("withdrawal"))) == (f"user:{admin.pk}", "withdrawal")
    assert (person_of(admin), person_of(SYSTEM)) == (admin, None)
