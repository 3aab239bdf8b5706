"""Changes to people, their roles, passwords and API tokens.

The views check who may ask for a change. Each change appends a ledger entry, which never holds a secret.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from knox.models import AuthToken

from flywheel.accounts import scopes
from flywheel.accounts.models import OneTimePassword, TokenName
from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append
from flywheel.core import access
from flywheel.core.errors import Conflict, Forbidden, NotFound, ValidationFailed
from flywheel.core.models import User

MAX_TOKENS = 20
EXPIRY_DAYS = (7, 30, 90, 365)
# No letters or digits that look alike when a password is read aloud or typed from paper.
_UNAMBIGUOUS = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A person with the one-time password that is shown once and stored nowhere."""

    user: User
    password: str


def password_make() -> str:
    """A random password of 20 characters in groups of five: about 99 bits."""
    return "-".join("".join(secrets.choice(_UNAMBIGUOUS) for _ in range(5)) for _ in range(4))


@transaction.atomic
def person_create(*, actor: User, username: str, display_name: str = "", roles: Iterable[str] = ()) -> NewPassword:
    """Create a person with roles and a one-time password. Raises ValidationFailed for a taken or unusable name."""
    groups = _groups(roles)
    password = password_make()
    user = User(username=User.normalize_username(username.strip()), display_name=display_name.strip())
    # Before `full_clean`, which refuses an empty password field.
    user.set_password(password)
    try:
        user.full_clean()
    except ValidationError as error:
        # One problem at a time, because the page shows an error beside one field.
        field, messages = next(iter(error.message_dict.items()))
        raise ValidationFailed(f"{messages[0]} Choose another name than '{username}'.", field=field) from error
    user.save(force_insert=True)
    user.groups.set(groups)
    OneTimePassword.objects.create(user=user)
    ledger_append(
        actor=actor, action=Action.PERSON_CREATE, object=f"user:{user.pk}",
        touched={"user": [user.pk]},
        payload={"username": user.username, "roles": sorted(group.name for group in groups)},
    )
    return NewPassword(user, password)


def _groups(roles: Iterable[str]) -> list[Group]:
    wanted = set(roles)
    if unknown := wanted - set(access.ROLES):
        raise ValidationFailed(
            f"role '{sorted(unknown)[0]}' does not exist; choose from {', '.join(access.ROLES)}", field="roles"
        )
    return list(Group.objects.filter(name__in=wanted))


@transaction.atomic
def person_update(*, actor: User, user_id: int, display_name: str, roles: Iterable[str]) -> User:
    """Rename a person and set exactly these roles. Refuses taking the admin role from oneself."""
    user = _person_lock(actor, user_id)
    groups = _groups(roles)
    names = {group.name for group in groups}
    before = set(user.groups.filter(name__in=access.ROLES).values_list("name", flat=True))
    # Otherwise the last admin could leave an installation in which no admin can give the role back.
    if user.pk == actor.pk and access.ADMIN in before and access.ADMIN not in names:
        raise Forbidden("you cannot take the admin role from yourself; ask another admin")
    user.display_name = display_name.strip()
    user.save(update_fields=["display_name"])
    # Only Flywheel's roles are touched, because an installation may use other groups for something else.
    user.groups.remove(*Group.objects.filter(name__in=before - names))
    user.groups.add(*groups)
    ledger_append(
        actor=actor, action=Action.PERSON_UPDATE, object=f"user:{user.pk}",
        touched={"user": [user.pk]},
        payload={"roles": sorted(names), "roles_before": sorted(before)},
    )
    return user


@transaction.atomic
def person_deactivate(*, actor: User, user_id: int) -> User:
    """Sign a person out everywhere and revoke their tokens; their work stays. Raises Forbidden for oneself."""
    user = _person_lock(actor, user_id)
    if user.pk == actor.pk:
        raise Forbidden("you cannot deactivate yourself; ask another admin")
    if user.is_active:
        user.is_active = False
        user.save(update_fields=["is_active"])
        # knox refuses tokens of inactive people anyway. They are deleted, so that activating the account does not
        # revive them.
        revoked, _ = AuthToken.objects.filter(user=user).delete()
        ledger_append(
            actor=actor, action=Action.PERSON_DEACTIVATE, object=f"user:{user.pk}",
            touched={"user": [user.pk]},
            # Only whether there were any: the number that Django returns includes the rows of their names.
            payload={"tokens_revoked": revoked > 0},
        )
    return user


@transaction.atomic
def person_activate(*, actor: User, user_id: int) -> User:
    """Let a deactivated person sign in again, with the password they had."""
    user = _person_lock(actor, user_id)
    if not user.is_active:
        user.is_active = True
        user.save(update_fields=["is_active"])
        ledger_append(
            actor=actor, action=Action.PERSON_ACTIVATE, object=f"user:{user.pk}",
            touched={"user": [user.pk]},
        )
    return user


@transaction.atomic
def person_password_reset(*, actor: User, user_id: int) -> NewPassword:
    """Give a person a new one-time password; every session of theirs ends."""
    user = _person_lock(actor, user_id)
    if user.pk == actor.pk:
        raise Forbidden("change your own password on the page Account")
    password = password_make()
    user.set_password(password)
    # A session holds a hash over the password, so this line alone ends all sessions of the person.
    user.save(update_fields=["password"])
    # The time is set anew, because the person has a new password to change.
    OneTimePassword.objects.update_or_create(user=user, defaults={"given_at": timezone.now()})
    ledger_append(
        actor=actor, action=Action.PERSON_PASSWORD_RESET, object=f"user:{user.pk}",
        touched={"user": [user.pk]},
    )
    return NewPassword(user, password)


def _person_lock(actor: User, user_id: int) -> User:
    # The lock makes "roles before" in the ledger true when two admins change one person at the same time.
    user = User.objects.select_for_update().filter(pk=user_id).first()
    if user is None:
        raise NotFound(f"person {user_id} does not exist")
    # An admin who could reset a superuser's password would gain a superuser's rights.
    if user.is_superuser and not actor.is_superuser:
        raise Forbidden(f"'{user}' is a superuser; only a superuser can change them")
    return user


@transaction.atomic
def password_choose(*, user: User, password: str) -> None:
    """Store the password that a person chose for themselves."""
    user.set_password(password)
    user.save(update_fields=["password"])
    # In the same transaction: a crash in between would ask for a change that was already made.
    OneTimePassword.objects.filter(user=user).delete()
    ledger_append(
        actor=user, action=Action.PERSON_PASSWORD_CHANGE, object=f"user:{user.pk}",
        touched={"user": [user.pk]},
    )


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token's row with the secret that is shown once and stored only as a hash."""

    token: AuthToken
    secret: str


@transaction.atomic
def token_create(*, actor: User, name: str, expires_days: int | None, scope: str = "all") -> NewToken:
    """Create an API token of one's own. Raises ValidationFailed for a name, an expiry or a scope that is none, Conflict
    above the limit."""
    name = name.strip()
    if not name or len(name) > 80:
        raise ValidationFailed(
            "a token needs a name of 1 to 80 characters, such as the machine that will use it", field="name"
        )
    if expires_days is not None and expires_days not in EXPIRY_DAYS:
        raise ValidationFailed(
            f"a token lasts {', '.join(map(str, EXPIRY_DAYS))} days or for ever", field="expires_days"
        )
    if scope not in scopes.SCOPES:
        raise ValidationFailed(
            f"scope {scope[:40]!r} does not exist; choose from {', '.join(scopes.SCOPES)}", field="scope"
        )
    # The count takes no lock: two requests at once may pass the limit by one, which does no harm.
    if AuthToken.objects.filter(user=actor).count() >= MAX_TOKENS:
        raise Conflict(f"you have {MAX_TOKENS} tokens already; revoke one that is no longer used")
    token, secret = AuthToken.objects.create(
        actor, expiry=timedelta(days=expires_days) if expires_days else None, prefix=scopes.token_prefix(scope)
    )
    TokenName.objects.create(token=token, name=name)
    ledger_append(
        # The key is the token's first letters, which identify it and do not open anything.
        actor=actor, action=Action.TOKEN_CREATE, object=f"token:{token.token_key}",
        touched={"token": [token.token_key], "user": [actor.pk]},
        payload={"name": name, "scope": scope, "expires": token.expiry.isoformat() if token.expiry else None},
    )
    return NewToken(token, secret)


@transaction.atomic
def token_revoke(*, actor: User, token_key: str) -> None:
    """Revoke an API token of one's own, at once."""
    # Filtered by owner, so the key of another person's token is answered like one that does not exist.
    token = AuthToken.objects.filter(user=actor, token_key=token_key).first()
    if token is None:
        raise NotFound(f"you have no token that starts with '{token_key}'")
    token.delete()
    ledger_append(
        actor=actor, action=Action.TOKEN_REVOKE, object=f"token:{token_key}",
        touched={"token": [token_key], "user": [actor.pk]},
    )
