"""Who may do what: one table of named permissions, assembled from each app's `access.py` when Django starts.

Pages (`core.http.permitted`), the API (`core.http.HasPermission`) and services (`require`) all read this table, and so
does the test of every address. The design is in docs/decisions/0006-permissions-in-one-table.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser

from flywheel.core.access import ADMIN, LEAD, ROLES, STEWARD, roles_of
from flywheel.core.actors import Actor, SystemActor
from flywheel.core.errors import Forbidden
from flywheel.core.models import User

Person = User | AnonymousUser
Roles = Callable[[], frozenset[str]]


class Predicate(ABC):
    """A condition on a person and, where it asks for one, on an object. Conditions combine with `|` and `&`."""

    def __call__(self, user: Person, obj: Any = None) -> bool:
        """Whether the person fulfils it. Without an object: whether the person could fulfil it for some object."""
        # Django deactivates people instead of deleting them, so every rule must exclude inactive ones.
        if not isinstance(user, User) or not user.is_active:
            return False
        # Roles are read when a rule asks for one: membership alone decides most acts, which must cost no query more.
        return self.holds(lambda: roles_of(user), lambda fact: fact.holds_for(user, obj))

    def __or__(self, other: Predicate) -> Predicate:
        return _Either(self, other)

    def __and__(self, other: Predicate) -> Predicate:
        return _Both(self, other)

    @abstractmethod
    def holds(self, roles: Roles, known: Callable[[Fact], bool]) -> bool:
        """Whether it holds for these roles, given which facts are known to hold."""

    @abstractmethod
    def who(self, obj: Any) -> str:
        """The people who fulfil it, in words: "admins", "the leads of project 'Returns'"."""


@dataclass(frozen=True, slots=True)
class Role(Predicate):
    """Holds for people with any of these roles; without roles, for every signed-in person."""

    names: tuple[str, ...]

    def holds(self, roles: Roles, known: Callable[[Fact], bool]) -> bool:
        return not self.names or not roles().isdisjoint(self.names)

    def who(self, obj: Any) -> str:
        return listed([f"{name}s" for name in self.names]) or "people who are signed in"


@dataclass(frozen=True, slots=True)
class Fact(Predicate):
    """Holds when `test(user, obj)` does: a membership, or having requested something.

    words: the people it holds for, such as "leads"; place: what they are that of, such as "project".
    about_object: the test needs the object, so without one the fact is assumed. A page that lists objects or fetches
    one later is opened on this assumption; what it shows must then be limited to the person's own.
    """

    words: str
    test: Callable[[User, Any], bool]
    place: str = ""
    about_object: bool = True

    def holds(self, roles: Roles, known: Callable[[Fact], bool]) -> bool:
        return known(self)

    def holds_for(self, user: User, obj: Any) -> bool:
        """Whether the fact is true of this person and object."""
        return (obj is None and self.about_object) or self.test(user, obj)

    def who(self, obj: Any) -> str:
        if not self.place:
            return self.words
        return f"the {self.words} of {self.place} '{obj}'" if obj is not None else f"{self.words} of a {self.place}"


@dataclass(frozen=True, slots=True)
class _Either(Predicate):
    first: Predicate
    second: Predicate

    def holds(self, roles: Roles, known: Callable[[Fact], bool]) -> bool:
        # The first condition decides where it can, because the second may be a query.
        return self.first.holds(roles, known) or self.second.holds(roles, known)

    def who(self, obj: Any) -> str:
        return f"{self.first.who(obj)} and {self.second.who(obj)}"


@dataclass(frozen=True, slots=True)
class _Both(Predicate):
    """Its words are the second condition's: `role(LEAD) & leads_project` is about "the leads of project 'X'"."""

    first: Predicate
    second: Predicate

    def holds(self, roles: Roles, known: Callable[[Fact], bool]) -> bool:
        return self.first.holds(roles, known) and self.second.holds(roles, known)

    def who(self, obj: Any) -> str:
        return self.second.who(obj)


def role(*names: str) -> Predicate:
    """A person with any of these roles. Raises ValueError for an unknown role."""
    # A misspelt role would refuse its people without any error.
    if unknown := set(names) - set(ROLES):
        raise ValueError(f"role {sorted(unknown)[0]!r} is not known; use one of {', '.join(ROLES)}")
    return Role(names)


def listed(words: list[str]) -> str:
    """The words as one phrase: "leads, stewards and admins"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


SIGNED_IN: Predicate = Role(())
ADMINS = role(ADMIN)
STEWARDS = role(STEWARD, ADMIN)
DECIDERS = role(LEAD, STEWARD, ADMIN)
NO_PERSON: Predicate = Fact("trainers with a job's token", lambda user, obj: False, about_object=False)


@dataclass(frozen=True, slots=True)
class Permission:
    """One row of the table: the act as the subject of a sentence ("approving a run"), and who may do it."""

    act: str
    rule: Predicate
    ask: str = "ask one of them"

    def refusal(self, obj: Any = None) -> str:
        """Why a person is refused, and whom to ask."""
        return f"{self.act} is for {self.rule.who(obj)}; {self.ask}"


_TABLE: dict[str, Permission] = {}


def register(permissions: Mapping[str, Permission]) -> None:
    """Add an app's permissions to the table. Raises ValueError for a name that another app has taken."""
    # A silent overwrite could widen another app's permission, depending on the order of imports.
    if taken := _TABLE.keys() & permissions.keys():
        raise ValueError(f"permission {sorted(taken)[0]!r} is registered already; choose another name")
    _TABLE.update(permissions)


def permission(name: str) -> Permission:
    """The row with this name. Raises KeyError with the name for a permission that no app has registered."""
    return _TABLE[name]


def names() -> list[str]:
    """The names of all permissions, sorted."""
    return sorted(_TABLE)


def allow(name: str, by: Actor | AnonymousUser, obj: Any = None) -> bool:
    """Whether the actor may do this to the object; without an object, whether to any object at all.

    A process may always, because it carries out what a person or a rule has decided. Raises KeyError for a name that
    is not in the table.
    """
    # A missing name is a fault in the code: it must fail loudly, because False would hide it and True would be unsafe.
    return isinstance(by, SystemActor) or _TABLE[name].rule(by, obj)


def require(name: str, by: Actor | AnonymousUser, obj: Any = None) -> None:
    """Raises Forbidden, saying who may, unless the actor may do this to the object."""
    if not allow(name, by, obj):
        raise Forbidden(_TABLE[name].refusal(obj))


def roles_allowed(name: str, *, own: bool) -> frozenset[str]:
    """The roles which suffice for the permission; "none" is a signed-in person without any role.

    own: whether the person has part in the object, such as membership of its project; facts that are not about an
    object never hold here.
    """
    rule = _TABLE[name].rule

    # No person is needed: the predicates are data, so the table can be asked about a role alone.
    def suffices(label: str) -> bool:
        return rule.holds(lambda: frozenset({label} & set(ROLES)), lambda fact: own and fact.about_object)

    return frozenset(filter(suffices, ("none", *ROLES)))
