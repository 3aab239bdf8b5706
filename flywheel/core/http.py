"""Requests behind sign-in: their types, and the guards of pages and API views, which read the table of permissions."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, cast

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.utils.http import url_has_allowed_host_and_scheme
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from flywheel.core.models import User
from flywheel.core.permissions import allow, permission

if TYPE_CHECKING:
    # REST framework imports this module for its settings before its own views are complete.
    from rest_framework.views import APIView


class AuthenticatedRequest(HttpRequest):
    """A request whose sender has signed in. It exists for the type checker only: no instance of it is made."""

    user: User


class AuthenticatedApiRequest(Request):
    """The same for the API's requests."""

    user: User  # type: ignore[assignment]


def is_fragment(request: HttpRequest) -> bool:
    """Whether a script of a page (`fragments.js`) asks for a part of that page instead of the whole."""
    return request.headers.get("X-Requested-With") == "fragment"


P = ParamSpec("P")
Page = Callable[Concatenate[HttpRequest, P], HttpResponseBase]
PrivatePage = Callable[Concatenate[AuthenticatedRequest, P], HttpResponseBase]


def back_address(request: HttpRequest, otherwise: str) -> str:
    """The page of this site that a form names as `next`; `otherwise` when it names none, or one elsewhere."""
    address = request.POST.get("next", "")
    hosts = {request.get_host()}
    inside = url_has_allowed_host_and_scheme(address, allowed_hosts=hosts, require_https=request.is_secure())
    return address if inside else otherwise


def permitted(name: str) -> Callable[[PrivatePage[P]], Page[P]]:
    """A page for people with this permission on some object; the page itself checks the object that it fetches.

    Other people get status 403, and people who have not signed in are sent to sign in. The page carries the name as
    `permission`, which the test of every address reads. Raises KeyError at import for a name that is not in the table.
    """
    rule = permission(name).rule

    def decorate(view: PrivatePage[P]) -> Page[P]:
        def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not allow(name, request.user):
                raise PermissionDenied(f"this page is for {rule.who(None)}")
            return view(cast(AuthenticatedRequest, request), *args, **kwargs)

        page = login_required(wraps(view)(guarded))
        page.permission = name  # type: ignore[attr-defined]
        return cast("Page[P]", page)

    return decorate


class HasPermission(BasePermission):
    """The API's default: an API view names its permission as `permission = "run.view"`.

    A view without a name refuses every request, so that a forgotten one is noticed by the first test that calls it.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        name: str | None = getattr(view, "permission", None)
        if name is None or not request.user.is_authenticated:
            return False
        # REST framework shows this sentence to people who are refused.
        self.message = permission(name).refusal()
        return allow(name, request.user)
