"""The page of a provenance record: who may open it and decide, and what it shows."""

from __future__ import annotations

import pytest
from django.urls import reverse

from provenance.models import ProvenanceRecord
from tests.flywheel.dashboard.conftest import Turn
from tests.provenance.conftest import records  # noqa: F401

pytestmark = pytest.mark.django_db


def test_only_stewards_and_admins_open_and_decide(
    records, client_of, client, stranger, annotator, reviewer, lead, steward, admin  # noqa: F811
):
    (record,) = records(1)
    page = reverse("dashboard:record", args=[record.uid])
    decide = reverse("dashboard:record_decide", args=[record.uid, "quarantine"])
    assert client.get(page).status_code == 302
    for person in (stranger, annotator, reviewer, lead):
        assert client_of(person).get(page).status_code == 403
        assert client_of(person).post(decide, {"reason": "x"}).status_code == 403
    for person in (steward, admin):
        assert client_of(person).get(page).status_code == 200


def test_a_record_links_to_its_example(turn: Turn, client_of, steward):
    page = client_of(steward).get(reverse("dashboard:record", args=[turn.taught.provenance.uid])).content.decode()
    assert f'href="/examples/{turn.taught.uid}/"' in page


def test_a_steward_decides_on_the_page_of_a_record(records, client_of, steward):  # noqa: F811
    (record,) = records(1)
    client = client_of(steward)
    client.post(reverse("dashboard:record_decide", args=[record.uid, "quarantine"]), {"reason": "odd"})
    assert ProvenanceRecord.objects.get().quarantined_at is not None
    page = client.get(reverse("dashboard:record", args=[record.uid])).content.decode()
    assert "In quarantine since" in page
    again = client.post(reverse("dashboard:record_decide", args=[record.uid, "quarantine"]), {"reason": "odd"})
    assert again.status_code == 422
    client.post(reverse("dashboard:record_decide", args=[record.uid, "release"]), {"reason": "fine"})
    assert ProvenanceRecord.objects.get().quarantined_at is None
