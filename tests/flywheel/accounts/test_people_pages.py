"""People, their tokens and their signing in, as pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from pytest_django.fixtures import DjangoAssertNumQueries

from annotation.models import Project
from flywheel.accounts import services
from flywheel.core.models import User
from tests.conftest import make_user, squeezed

ClientOf = Callable[[User], Client]


def test_a_new_persons_password_is_shown_once_and_works(admin: User, client_of: ClientOf, client: Client) -> None:
    browser = client_of(admin)
    answer = browser.post("/people/new/", {"username": "nora", "display_name": "Nora", "roles": ["annotator"]})
    assert answer.status_code == 201
    assert "no-store" in answer["Cache-Control"]
    password = str(answer.context["made"].password)
    nora = User.objects.get(username="nora")
    assert password not in browser.get(f"/people/{nora.pk}/").content.decode()
    signed_in = client.post("/accounts/login/", {"login": "nora", "password": password})
    assert signed_in["Location"] == "/accounts/password/change/"


def test_a_taken_name_is_said_at_its_field(admin: User, client_of: ClientOf) -> None:
    answer = client_of(admin).post("/people/new/", {"username": "ada"})
    assert answer.status_code == 422
    assert "username" in answer.context["form"].errors


def test_deactivating_needs_the_typed_name(admin: User, annotator: User, client_of: ClientOf) -> None:
    client = client_of(admin)
    client.post(f"/people/{annotator.pk}/deactivate/", {"confirm": "an"})
    annotator.refresh_from_db()
    assert annotator.is_active
    client.post(f"/people/{annotator.pk}/deactivate/", {"confirm": "ann"})
    annotator.refresh_from_db()
    assert not annotator.is_active
    client.post(f"/people/{annotator.pk}/activate/")
    annotator.refresh_from_db()
    assert annotator.is_active


def test_roles_and_projects_are_set_on_the_persons_page(
    admin: User, stranger: User, project: Project, client_of: ClientOf
) -> None:
    client = client_of(admin)
    client.post(f"/people/{stranger.pk}/", {"display_name": "Sid", "roles": ["lead", "reviewer"]})
    assert set(stranger.groups.values_list("name", flat=True)) == {"lead", "reviewer"}
    client.post(f"/people/{stranger.pk}/projects/", {"project": project.pk, "role": "reviewer"})
    membership = stranger.memberships.get()
    page = squeezed(client.get(f"/people/{stranger.pk}/"))
    assert "Remove<span class=\"visually-hidden\"> from Replies as Reviewer" in page
    client.post(f"/people/{stranger.pk}/projects/{membership.pk}/remove/")
    assert not stranger.memberships.exists()


def test_the_last_lead_of_a_project_stays(admin: User, lead: User, member: Project, client_of: ClientOf) -> None:
    answer = client_of(admin).post(f"/people/{lead.pk}/projects/{lead.memberships.get().pk}/remove/")
    assert answer.status_code == 422
    assert "is the last lead" in answer.content.decode()
    assert lead.memberships.exists()


def test_people_are_found_by_name_role_and_state(admin: User, annotator: User, client_of: ClientOf) -> None:
    client = client_of(admin)
    for query, found in (("q=ann", ["ann"]), ("role=admin", ["ada"]), ("state=off", []), ("", ["ann", "ada"])):
        rows = client.get(f"/people/?{query}").context["table"].rows
        assert [person.username for person in rows] == found


def test_the_list_of_people_asks_a_fixed_number_of_questions(
    admin: User, client_of: ClientOf, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(30):
        make_user(f"p{number}", "annotator")
    client = client_of(admin)
    with django_assert_max_num_queries(6):
        client.get("/people/")


def test_a_token_is_shown_once_works_and_can_be_revoked(annotator: User, client_of: ClientOf, client: Client) -> None:
    browser = client_of(annotator)
    answer = browser.post("/tokens/", {"name": "laptop", "expires_days": "30"})
    assert answer.status_code == 201
    secret = answer.context["made"].secret
    assert secret in answer.content.decode()
    assert secret not in browser.get("/tokens/").content.decode()
    assert _api(client, secret) == 200
    browser.post(f"/tokens/{secret[:15]}/revoke/")
    assert _api(client, secret) == 401


def _api(client: Client, secret: str) -> int:
    return client.get("/api/v1/schema/", headers={"Authorization": f"Token {secret}"}).status_code


def test_a_token_without_name_is_refused_at_its_field(annotator: User, client_of: ClientOf) -> None:
    answer = client_of(annotator).post("/tokens/", {"name": " ", "expires_days": "30"})
    assert answer.status_code == 422
    assert "name" in answer.context["form"].errors


def test_nobody_revokes_the_token_of_another(annotator: User, stranger: User, client_of: ClientOf) -> None:
    made = services.token_create(actor=annotator, name="x", expires_days=None)
    assert client_of(stranger).post(f"/tokens/{made.token.token_key}/revoke/").status_code == 404
    assert annotator.auth_token_set.count() == 1


# --- signing in -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_nobody_signs_up_by_themselves(client: Client) -> None:
    page = client.get("/accounts/signup/")
    assert "Sign-up is closed" in page.content.decode()
    client.post("/accounts/signup/", {"username": "eve", "password1": "Long-enough-1", "password2": "Long-enough-1"})
    assert not User.objects.filter(username="eve").exists()


def test_a_wrong_password_is_told_without_saying_which_part_was_wrong(annotator: User, client: Client) -> None:
    page = client.post("/accounts/login/", {"login": "ann", "password": "wrong"}).content.decode()
    other = client.post("/accounts/login/", {"login": "nobody", "password": "wrong"}).content.decode()
    for text in (page, other):
        assert 'role="alert"' in text
        assert "correct" in text


def test_signing_in_is_slowed_down(annotator: User, client: Client, settings: Any) -> None:
    from django.core.cache import cache

    cache.clear()
    answers = [client.post("/accounts/login/", {"login": "ann", "password": "wrong"}) for _ in range(12)]
    assert "Too many" in answers[-1].content.decode()
    cache.clear()


@pytest.mark.django_db
def test_a_flood_of_sign_ins_meets_a_page_that_says_when_to_try_again(client: Client) -> None:
    from django.core.cache import cache

    cache.clear()
    for number in range(31):
        answer = client.post("/accounts/login/", {"login": f"n{number}", "password": "wrong"})
    assert answer.status_code == 429
    assert "Wait five minutes" in answer.content.decode()
    cache.clear()


@pytest.mark.django_db
def test_no_mail_leaves_for_a_forgotten_password(client: Client, mailoutbox: list[Any]) -> None:
    assert "Ask your admin" in client.get("/accounts/password/reset/").content.decode()
    client.post("/accounts/password/reset/", {"email": "a@example.com"})
    assert mailoutbox == []


def test_choosing_a_password_ends_the_one_time_password(admin: User, client: Client) -> None:
    made = services.person_create(actor=admin, username="nora")
    client.post("/accounts/login/", {"login": "nora", "password": made.password})
    assert "one-time password" in client.get("/").content.decode()
    answer = client.post(
        "/accounts/password/change/",
        {"oldpassword": made.password, "password1": "quiet-river-stone", "password2": "quiet-river-stone"},
    )
    assert answer["Location"] == "/account/"
    assert "one-time password" not in client.get("/").content.decode()
