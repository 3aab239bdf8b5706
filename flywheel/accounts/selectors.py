"""People, their memberships and API tokens."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet
from knox.models import AuthToken

from annotation.models import Membership
from flywheel.accounts.models import OneTimePassword
from flywheel.core.models import User


def password_is_one_time(user: Any) -> bool:
    """Whether an admin has seen the person's password."""
    return OneTimePassword.objects.filter(user=user).exists()


def people(*, search: str = "", role: str = "", state: str = "") -> QuerySet[User]:
    """People by name, role and whether they are active, with their groups."""
    found = User.objects.prefetch_related("groups").select_related("one_time_password")
    if search:
        found = found.filter(Q(username__icontains=search) | Q(display_name__icontains=search))
    if role:
        found = found.filter(groups__name=role)
    if state:
        found = found.filter(is_active=state == "active")
    return found


def memberships_of(user: User) -> list[Membership]:
    """The person's parts in projects."""
    found = Membership.objects.filter(user=user).select_related("project", "user")
    return list(found.order_by("project__name", "role"))


def tokens_of(user: User) -> list[AuthToken]:
    """The person's API tokens with their names, newest first."""
    return list(AuthToken.objects.filter(user=user).select_related("named").order_by("-created"))
