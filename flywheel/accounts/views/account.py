"""A person's own account page."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render

from flywheel.accounts import selectors
from flywheel.core.access import ROLES, roles_of
from flywheel.core.http import AuthenticatedRequest, permitted


@permitted("account.own")
def account(request: AuthenticatedRequest) -> HttpResponse:
    """Who one is here: name, roles, projects, password, tokens."""
    user = request.user
    context = {
        "roles": [role for role in ROLES if role in roles_of(user)],
        "memberships": selectors.memberships_of(user),
        "one_time_password": selectors.password_is_one_time(user),
    }
    return render(request, "accounts/account.html", context)
