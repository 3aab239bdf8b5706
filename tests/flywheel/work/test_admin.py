"""Django's admin: superusers only, read-only but for trying dead jobs again."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from flywheel.work.jobs import job_add, jobs_drain
from flywheel.work.models import Job
from tests.conftest import make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def superuser():
    return make_user("sue", is_superuser=True, is_staff=True)


@pytest.mark.parametrize("role", ["annotator", "reviewer", "lead", "steward", "admin"])
def test_neither_a_role_nor_being_staff_opens_the_admin(role, client_of):
    assert client_of(make_user("staff", role, is_staff=True)).get("/admin/", follow=True).status_code == 403
    assert client_of(make_user("plain", role)).get("/admin/work/job/", follow=True).status_code == 403


def test_a_stranger_is_sent_to_the_common_sign_in_page(client: Client):
    answer = client.get("/admin/", follow=True)
    assert answer.redirect_chain[-1][0].startswith("/accounts/login/")


def test_a_superuser_reads_jobs_and_changes_none(superuser, client_of, kind):
    kind("test.topic")
    job = job_add(kind="test.topic")
    client = client_of(superuser)
    assert client.get("/admin/work/job/").status_code == 200
    assert b"claim_sha256" not in client.get(f"/admin/work/job/{job.pk}/change/").content
    assert client.post(f"/admin/work/job/{job.pk}/delete/", {"post": "yes"}).status_code == 403
    assert Job.objects.filter(pk=job.pk).exists()


def test_dead_jobs_are_tried_again_and_done_ones_are_not(superuser, client_of, kind):
    seen = kind("test.topic")
    dead = job_add(kind="test.topic", payload={"n": 1})
    Job.objects.filter(pk=dead.pk).update(status="failed", failures=8, finished_at=timezone.now())
    done = job_add(kind="test.topic", payload={"n": 2})
    Job.objects.filter(pk=done.pk).update(status="done", finished_at=timezone.now())
    client_of(superuser).post(
        "/admin/work/job/", {"action": "try_again", "_selected_action": [dead.pk, done.pk]}
    )
    jobs_drain()
    assert seen == [{"n": 1}]
