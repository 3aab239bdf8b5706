"""Who may open what, by role. Membership per project is annotation's."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

ANNOTATOR = "annotator"
REVIEWER = "reviewer"
LEAD = "lead"
STEWARD = "steward"
ADMIN = "admin"
ROLES = (ANNOTATOR, REVIEWER, LEAD, STEWARD, ADMIN)

View = Callable[..., HttpResponseBase]


def roles_of(user: Any) -> frozenset[str]:
    """The roles of a person; a superuser has all of them, a stranger or an inactive person none.

    Read once per user object, so that a request asks the database once.
    """
    if not getattr(user, "is_authenticated", False) or not user.is_active:
        return frozenset()
    if user.is_superuser:
        return frozenset(ROLES)
    cached: frozenset[str] | None = getattr(user, "_roles", None)
    if cached is None:
        cached = frozenset(user.groups.filter(name__in=ROLES).values_list("name", flat=True))
        user._roles = cached
    return cached


def has_role(user: Any, *roles: str) -> bool:
    """Whether the person has any of these roles."""
    return not roles_of(user).isdisjoint(roles)


def role_required(*roles: str) -> Callable[[View], View]:
    """A page for people with any of these roles: others are refused, strangers are sent to sign in."""

    def decorate(view: View) -> View:
        @wraps(view)
        @login_required
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not has_role(request.user, *roles):
                raise PermissionDenied(f"this page is for: {', '.join(roles)}")
            return view(request, *args, **kwargs)

        return guarded

    return decorate


class HasRole(BasePermission):
    """REST permission: `permission_classes = [HasRole.of("steward", "admin")]`."""

    roles: tuple[str, ...] = ()

    @classmethod
    def of(cls, *roles: str) -> type[HasRole]:
        """A permission class for any of these roles."""
        return type(f"HasRole_{'_'.join(roles)}", (cls,), {"roles": roles})

    def has_permission(self, request: Request, view: APIView) -> bool:
        return has_role(request.user, *self.roles)
