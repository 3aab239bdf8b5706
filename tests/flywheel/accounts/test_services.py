"""People and tokens: what is changed, what is refused, what the ledger keeps and what it never sees."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken
from pytest_django.fixtures import DjangoAssertNumQueries
from rest_framework.test import APIClient

from flywheel.accounts import selectors, services
from flywheel.audit.models import LedgerEntry
from flywheel.core.errors import Conflict, Forbidden, NotFound, ValidationFailed
from flywheel.core.models import User


def last_entry() -> LedgerEntry:
    return LedgerEntry.objects.latest("seq")


def test_a_new_person_has_roles_a_password_and_a_ledger_entry_without_it(admin: User) -> None:
    made = services.person_create(actor=admin, username="nora", display_name="Nora", roles=["annotator", "lead"])
    assert made.user.check_password(made.password)
    assert set(made.user.groups.values_list("name", flat=True)) == {"annotator", "lead"}
    assert selectors.password_is_one_time(made.user)
    entry = last_entry()
    assert (entry.action, entry.object, entry.payload["roles"]) == (
        "person.create", f"user:{made.user.pk}", ["annotator", "lead"]
    )
    assert made.password not in json.dumps(entry.payload)


def test_passwords_are_long_and_differ() -> None:
    made = {services.password_make() for _ in range(50)}
    assert len(made) == 50
    assert {len(password) for password in made} == {23}


@pytest.mark.parametrize("username", ["", "ada", "with space", "ü" * 151])
def test_an_unusable_name_is_refused_and_nothing_is_written(username: str, admin: User) -> None:
    before = User.objects.count(), LedgerEntry.objects.count()
    with pytest.raises(ValidationFailed) as caught:
        services.person_create(actor=admin, username=username)
    assert caught.value.field == "username"
    assert (User.objects.count(), LedgerEntry.objects.count()) == before


def test_an_unknown_role_is_refused_with_the_known_ones(admin: User) -> None:
    with pytest.raises(ValidationFailed, match="role 'boss' does not exist; choose from annotator, reviewer"):
        services.person_create(actor=admin, username="nora", roles=["boss"])


def test_setting_roles_leaves_other_groups_alone(admin: User, annotator: User) -> None:
    annotator.groups.create(name="newsletter")
    services.person_update(actor=admin, user_id=annotator.pk, display_name="Ann", roles=["reviewer"])
    assert set(annotator.groups.values_list("name", flat=True)) == {"reviewer", "newsletter"}
    assert last_entry().payload == {"roles": ["reviewer"], "roles_before": ["annotator"]}


def test_an_admin_cannot_lock_themselves_out(admin: User) -> None:
    for act in (
        lambda: services.person_update(actor=admin, user_id=admin.pk, display_name="", roles=[]),
        lambda: services.person_deactivate(actor=admin, user_id=admin.pk),
        lambda: services.person_password_reset(actor=admin, user_id=admin.pk),
    ):
        with pytest.raises(Forbidden):
            act()
    admin.refresh_from_db()
    assert admin.is_active
    assert admin.groups.filter(name="admin").exists()


def test_only_a_superuser_changes_a_superuser(admin: User) -> None:
    root = User.objects.create_superuser("root", password="root")
    with pytest.raises(Forbidden, match="only a superuser"):
        services.person_password_reset(actor=admin, user_id=root.pk)
    assert services.person_deactivate(actor=root, user_id=admin.pk).is_active is False


def test_a_missing_person_is_named(admin: User) -> None:
    with pytest.raises(NotFound, match="person 4242 does not exist"):
        services.person_activate(actor=admin, user_id=4242)


def test_deactivating_ends_sessions_and_tokens_at_once(admin: User, annotator: User) -> None:
    services.token_create(actor=annotator, name="x", expires_days=None)
    browser = Client()
    browser.force_login(annotator)
    services.person_deactivate(actor=admin, user_id=annotator.pk)
    assert browser.get("/").status_code == 302
    assert not AuthToken.objects.filter(user=annotator).exists()


def test_deactivating_twice_is_one_entry(admin: User, annotator: User) -> None:
    services.person_deactivate(actor=admin, user_id=annotator.pk)
    count = LedgerEntry.objects.count()
    services.person_deactivate(actor=admin, user_id=annotator.pk)
    assert LedgerEntry.objects.count() == count


def test_a_new_one_time_password_ends_the_sessions_of_the_old(admin: User, annotator: User) -> None:
    browser = Client()
    browser.force_login(annotator)
    made = services.person_password_reset(actor=admin, user_id=annotator.pk)
    assert browser.get("/").status_code == 302
    assert made.user.check_password(made.password)
    assert made.password not in json.dumps(last_entry().payload)


def test_choosing_a_password_forgets_that_one_was_given(admin: User) -> None:
    made = services.person_create(actor=admin, username="nora")
    services.password_choose(user=made.user, password="quiet-river-stone")
    assert not selectors.password_is_one_time(made.user)
    assert last_entry().action == "person.password_change"


def test_a_token_is_named_kept_as_a_hash_and_ledgered_without_its_secret(annotator: User) -> None:
    made = services.token_create(actor=annotator, name=" laptop ", expires_days=30)
    assert [token.named.name for token in selectors.tokens_of(annotator)] == ["laptop"]
    assert made.secret != made.token.digest
    assert made.secret not in json.dumps(last_entry().payload)
    assert made.secret not in last_entry().object


@pytest.mark.parametrize(("name", "days"), [("", 30), ("x" * 81, 30), ("laptop", 31)])
def test_a_token_needs_a_name_and_a_known_expiry(name: str, days: int, annotator: User) -> None:
    with pytest.raises(ValidationFailed):
        services.token_create(actor=annotator, name=name, expires_days=days)
    assert not AuthToken.objects.exists()


@pytest.mark.parametrize(
    ("scope", "may"),
    [("all", {"read", "capture", "change"}), ("read", {"read"}), ("capture", {"capture"})],
)
def test_a_token_is_good_for_its_scope_and_no_more(
    scope: str, may: set[str], admin: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    secret = services.token_create(actor=admin, name="x", expires_days=7, scope=scope).secret
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {secret}")
    asked = {
        "read": client.get("/api/v1/sources/"), "capture": client.post("/api/v1/captures/", {}, format="json"),
        "change": client.post("/api/v1/projects/", {}, format="json"),
    }
    assert {name for name, answer in asked.items() if answer.status_code != 403} == may
    for name in set(asked) - may:
        assert "this token is for" in asked[name].json()["error"]["message"]
    with django_assert_max_num_queries(4):
        client.get("/api/v1/sources/")


def test_a_scope_cannot_be_taken_off_a_token(admin: User) -> None:
    secret = services.token_create(actor=admin, name="x", expires_days=7, scope="read").secret
    for forged in (secret.removeprefix("read_"), secret.replace("read_", "capture_"), "read_" + secret):
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Token {forged}")
        assert client.get("/api/v1/sources/").status_code == 401


def test_a_scope_never_widens_what_roles_allow(annotator: User) -> None:
    secret = services.token_create(actor=annotator, name="x", expires_days=7, scope="capture").secret
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {secret}")
    assert client.post("/api/v1/captures/", {}, format="json").status_code == 403


def test_a_token_of_odd_letters_is_refused_in_words(client: Client, db: None) -> None:
    for odd in ("\xff\xfe", "é" * 20, "read_", "0" * 5000):
        answer = client.get("/api/v1/sources/", headers={"Authorization": f"Token {odd}"})
        assert answer.status_code == 401
        assert answer.json()["error"]["message"] == "Invalid token."


def test_an_expired_token_is_refused(admin: User) -> None:
    made = services.token_create(actor=admin, name="x", expires_days=7)
    AuthToken.objects.update(expiry=timezone.now() - timedelta(seconds=1))
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Token {made.secret}")
    assert client.get("/api/v1/sources/").status_code == 401


def test_nobody_collects_tokens_without_end(annotator: User) -> None:
    for number in range(services.MAX_TOKENS):
        services.token_create(actor=annotator, name=f"t{number}", expires_days=None)
    with pytest.raises(Conflict, match="20 tokens already"):
        services.token_create(actor=annotator, name="one more", expires_days=None)


def test_a_token_of_another_cannot_be_revoked(annotator: User, stranger: User) -> None:
    made = services.token_create(actor=annotator, name="x", expires_days=None)
    with pytest.raises(NotFound):
        services.token_revoke(actor=stranger, token_key=made.token.token_key)
    services.token_revoke(actor=annotator, token_key=made.token.token_key)
    assert last_entry().action == "token.revoke"
