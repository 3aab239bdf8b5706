"""People, their memberships and API tokens."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from knox.models import AuthToken

from annotation.models import Membership
from flywheel.accounts.models import OneTimePassword
from flywheel.core.models import User


def password_is_one_time(user: Any) -> bool:
    """Whether an admin has seen the person's password."""
    return OneTimePassword.objects.filter(user=user).exists()


def people() -> QuerySet[User]:
    """People with what their list shows of them."""
    # Both are shown in each row; without this the list would make two queries for each person.
    return User.objects.prefetch_related("groups").select_related("one_time_password")


def memberships_of(user: User) -> list[Membership]:
    """The person's parts in projects."""
    found = Membership.objects.filter(user=user).select_related("project", "user")
    return list(found.order_by("project__name", "role"))


def tokens_of(user: User) -> list[AuthToken]:
    """The person's API tokens with their names, newest first."""
    return list(AuthToken.objects.filter(user=user).select_related("named").order_by("-created"))
