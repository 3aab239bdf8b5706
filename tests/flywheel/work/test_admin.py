"""Django's admin: superusers only, read-only but for trying dead messages again."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from flywheel.work import outbox
from flywheel.work.models import OutboxMessage
from tests.conftest import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def superuser():
    return make_user("sue", is_superuser=True, is_staff=True)


@pytest.mark.parametrize("role", ["annotator", "reviewer", "lead", "steward", "admin"])
def test_neither_a_role_nor_being_staff_opens_the_admin(role, client_of):
    assert client_of(make_user("staff", role, is_staff=True)).get("/admin/", follow=True).status_code == 403
    assert client_of(make_user("plain", role)).get("/admin/work/outboxmessage/", follow=True).status_code == 403


def test_a_stranger_is_sent_to_the_common_sign_in_page(client: Client):
    answer = client.get("/admin/", follow=True)
    assert answer.redirect_chain[-1][0].startswith("/accounts/login/")


def test_a_superuser_reads_the_outbox_and_changes_no_row(superuser, client_of):
    message = outbox.outbox_add(topic="test.topic", payload={})
    client = client_of(superuser)
    assert client.get("/admin/work/outboxmessage/").status_code == 200
    assert client.get("/admin/work/job/").status_code == 200
    assert client.post(f"/admin/work/outboxmessage/{message.pk}/delete/", {"post": "yes"}).status_code == 403
    assert OutboxMessage.objects.filter(pk=message.pk).exists()


def test_dead_messages_are_tried_again_and_done_ones_are_not(superuser, client_of, monkeypatch):
    seen = []
    monkeypatch.setitem(outbox._handlers, "test.topic", seen.append)
    dead = outbox.outbox_add(topic="test.topic", payload={"n": 1})
    OutboxMessage.objects.filter(pk=dead.pk).update(dead_at=timezone.now(), attempts=8)
    done = outbox.outbox_add(topic="test.topic", payload={"n": 2})
    OutboxMessage.objects.filter(pk=done.pk).update(done_at=timezone.now())
    client_of(superuser).post(
        "/admin/work/outboxmessage/", {"action": "try_again", "_selected_action": [dead.pk, done.pk]}
    )
    outbox.outbox_drain()
    assert seen == [{"n": 1}]
