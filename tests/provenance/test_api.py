"""REST of provenance: consent in, withdrawal, verdicts, the ledger."""

from __future__ import annotations

import pytest

from provenance.models import ConsentRecord, Withdrawal
from tests.provenance.conftest import consent_row

pytestmark = pytest.mark.django_db

CONSENTS = "/api/v1/consents/"


def test_a_steward_records_consent_with_its_events_once(api_of, steward):
    client = api_of(steward)
    for status in (201, 200):
        answer = client.post(CONSENTS, consent_row(1), format="json")
        assert answer.status_code == status
    assert answer.json()["events"][0]["event_state"] == "ConsentGiven"
    assert "example.org" not in answer.content.decode()
    assert ConsentRecord.objects.count() == 1


def test_a_bad_record_is_named_with_its_field(api_of, steward):
    answer = api_of(steward).post(CONSENTS, consent_row(1, purposes=["selling"]), format="json")
    assert answer.status_code == 400
    assert answer.json()["error"]["field"] == "purposes"
    assert api_of(steward).post(CONSENTS, [1], format="json").status_code == 400


def test_an_event_changes_the_verdict(api_of, steward, records):
    (record,) = records(1)
    client = api_of(steward)
    url = f"/api/v1/records/{record.uid}/verdict/"
    assert client.get(url, {"purpose": "sft"}).json()["cleared"] is True
    event = {"event_time": "2026-03-01T00:00:00Z", "event_state": "ConsentRefused"}
    statuses = [client.post(f"{CONSENTS}c-1/events/", event, format="json").status_code for _ in range(2)]
    assert statuses == [201, 200]
    answer = client.get(url, {"purpose": "sft", "region": "DE"}).json()
    assert answer["cleared"] is False
    assert [reason["rule"] for reason in answer["reasons"]] == ["consent_refused"]
    assert all(reason["fix"] for reason in answer["reasons"])


@pytest.mark.parametrize("params", [{}, {"purpose": "selling"}, {"purpose": "sft", "region": "x" * 50}])
def test_a_verdict_needs_a_known_purpose_and_a_region(api_of, steward, records, params):
    (record,) = records(1)
    assert api_of(steward).get(f"/api/v1/records/{record.uid}/verdict/", params).status_code == 400


def test_withdrawal_over_rest_has_a_receipt(api_of, steward, records):
    (record,) = records(1)
    client = api_of(steward)
    url = f"/api/v1/subjects/{record.subjects.get().uid}/withdraw/"
    answer = client.post(url, {"purposes": ["sft"], "reason": "mail"}, format="json")
    assert answer.status_code == 201
    receipt = client.get(f"/api/v1/withdrawals/{answer.json()['uid']}/").json()
    assert (receipt["purposes"], receipt["completed_at"]) == (["sft"], None)
    assert client.post(url, {"purposes": ["x"]}, format="json").status_code == 400
    missing = "/api/v1/subjects/00000000-0000-0000-0000-000000000000/withdraw/"
    assert client.post(missing, {}, format="json").status_code == 404


def test_withdrawing_again_says_that_it_was_withdrawn_already(api_of, steward, records):
    (record,) = records(1)
    client = api_of(steward)
    url = f"/api/v1/subjects/{record.subjects.get().uid}/withdraw/"
    first = client.post(url, {"reason": "mail"}, format="json")
    again = client.post(url, {"purposes": ["sft"], "reason": "a second mail"}, format="json")
    assert (first.status_code, again.status_code) == (201, 200)
    assert (first.json()["repeated"], again.json()["repeated"]) == (False, True)
    assert {**again.json(), "repeated": False} == first.json()
    assert Withdrawal.objects.count() == 1


def test_the_ledger_is_paged_and_filtered(api_of, admin, records):
    records(1)
    client = api_of(admin)
    page = client.get("/api/v1/ledger/", {"limit": 1}).json()
    assert len(page["results"]) == 1
    assert page["next"]
    found = client.get("/api/v1/ledger/", {"object": "source:acme"}).json()["results"]
    assert [entry["action"] for entry in found] == ["provenance.record"]


def test_strangers_and_other_roles_get_nothing(api_of, client, stranger, annotator, lead, records):
    (record,) = records(1)
    subject = record.subjects.get()
    asked = [
        ("post", CONSENTS), ("post", f"{CONSENTS}c-1/events/"), ("post", f"/api/v1/subjects/{subject.uid}/withdraw/"),
        ("get", f"/api/v1/records/{record.uid}/verdict/?purpose=sft"), ("get", "/api/v1/ledger/"),
        ("get", f"/api/v1/withdrawals/{record.uid}/"),
    ]
    for method, url in asked:
        assert getattr(client, method)(url).status_code in (401, 403)
        for person in (stranger, annotator, lead):
            assert getattr(api_of(person), method)(url).status_code == 403
    assert not Withdrawal.objects.exists()
