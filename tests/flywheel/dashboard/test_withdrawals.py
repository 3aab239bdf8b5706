"""A withdrawal before it is made: who may see what it reaches, and how it is confirmed."""

from __future__ import annotations

import pytest
from django.urls import reverse

from provenance.models import Withdrawal
from tests.provenance.conftest import records  # noqa: F401

pytestmark = pytest.mark.django_db


def test_only_stewards_and_admins_open_and_withdraw(
    records, client_of, client, stranger, annotator, reviewer, lead, steward, admin  # noqa: F811
):
    (record,) = records(1)
    subject = record.subjects.get()
    withdraw = reverse("dashboard:subject_withdraw", args=[subject.uid])
    lists = [reverse("dashboard:subject_reach", args=[subject.uid, name]) for name in ("tasks", "snapshot rows")]
    for url in (withdraw, *lists):
        assert client.get(url).status_code == 302
        for person in (stranger, annotator, reviewer, lead):
            assert client_of(person).get(url).status_code == 403
        for person in (steward, admin):
            assert client_of(person).get(url).status_code == 200
    for person in (stranger, lead):
        answer = client_of(person).post(withdraw, {"purposes": ["sft"], "confirm": str(subject)})
        assert answer.status_code == 403
    assert not Withdrawal.objects.exists()


def test_withdrawing_says_what_it_reaches_and_wants_to_be_typed(records, client_of, steward):  # noqa: F811
    (record,) = records(1)
    subject = record.subjects.get()
    url = reverse("dashboard:subject_withdraw", args=[subject.uid])
    client = client_of(steward)
    assert "Provenance records" in client.get(url).content.decode()
    wrong = client.post(url, {"purposes": ["sft"], "confirm": "yes"})
    assert wrong.status_code == 422
    assert "nothing was changed" in wrong.content.decode()
    assert not Withdrawal.objects.exists()
    done = client.post(url, {"purposes": ["sft"], "reason": "letter", "confirm": str(subject)})
    assert done["Location"] == reverse("provenance:withdrawal", args=[Withdrawal.objects.get().uid])
    assert Withdrawal.objects.get().purposes == ["sft"]
    again = client.post(url, {"purposes": ["sft"], "confirm": str(subject)}, follow=True)
    assert "withdrawn already; nothing changed" in again.content.decode()
    assert Withdrawal.objects.count() == 1
