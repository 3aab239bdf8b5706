"""The guards of pages and API views."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from rest_framework.response import Response
from rest_framework.test import force_authenticate
from rest_framework.views import APIView

from flywheel.core.http import AuthenticatedRequest, permitted
from flywheel.core.models import User


@permitted("person.manage")
def page(request: AuthenticatedRequest) -> HttpResponse:
    return HttpResponse(request.user.username)


class Api(APIView):
    permission = "person.manage"

    def get(self, request: Any) -> Response:
        return Response("answered")


class Forgotten(APIView):
    def get(self, request: Any) -> Response:
        raise AssertionError("a view without a permission must not be called")


def asked(view: Any, rf: Any, user: User) -> Response:
    request = rf.get("/")
    force_authenticate(request, user)
    return view.as_view()(request)


def test_a_page_answers_people_with_its_permission(rf: Any, admin: User) -> None:
    request = rf.get("/")
    request.user = admin
    assert page(request).content.decode() == admin.username
    assert page.permission == "person.manage"  # type: ignore[attr-defined]


def test_a_page_says_whom_it_is_for(rf: Any, annotator: User) -> None:
    request = rf.get("/")
    request.user = annotator
    with pytest.raises(PermissionDenied, match="this page is for admins"):
        page(request)


def test_a_page_sends_strangers_to_sign_in(rf: Any) -> None:
    request = rf.get("/people/")
    request.user = AnonymousUser()
    assert page(request).headers["Location"].startswith("/accounts/login/")


def test_a_page_with_an_unknown_permission_cannot_be_defined() -> None:
    with pytest.raises(KeyError, match=r"person\.sell"):
        permitted("person.sell")


def test_an_api_view_answers_people_with_its_permission_and_tells_others_who_may(
    rf: Any, admin: User, annotator: User
) -> None:
    assert asked(Api, rf, admin).data == "answered"
    refused = asked(Api, rf, annotator)
    assert refused.status_code == 403
    assert refused.data["error"] == {
        "code": "permission_denied", "message": "managing people is for admins; ask one of them",
    }


def test_an_api_view_without_a_permission_refuses_every_request(rf: Any, admin: User) -> None:
    assert asked(Forgotten, rf, admin).status_code == 403


def test_an_api_view_asks_strangers_to_authenticate(rf: Any, db: None) -> None:
    assert Api.as_view()(rf.get("/")).status_code == 401
