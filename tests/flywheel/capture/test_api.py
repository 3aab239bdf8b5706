"""The REST endpoints of capture: who may, what is taken, what is said about the rest."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys

import pytest
from rest_framework.test import APIClient

from flywheel.capture import services
from flywheel.capture.models import Capture, Example
from tests.flywheel.capture.conftest import call, ticket

pytestmark = pytest.mark.django_db

ONE = "/api/v1/captures/"
BULK = "/api/v1/captures/bulk/"
EVERY = [
    ("get", "/api/v1/sources/"),
    ("post", "/api/v1/sources/"),
    ("get", "/api/v1/sources/acme/"),
    ("patch", "/api/v1/sources/acme/"),
    ("get", "/api/v1/examples/"),
    ("get", "/api/v1/examples/00000000-0000-0000-0000-000000000000/"),
    ("post", ONE),
    ("post", BULK),
]


def post(client, payload, url=ONE + "?source=acme", **headers):
    body = payload if isinstance(payload, bytes | str) else json.dumps(payload)
    return client.generic("POST", url, body, content_type=headers.pop("content_type", "application/json"), **headers)


def ndjson(*rows):
    return b"".join((r if isinstance(r, bytes) else json.dumps(r).encode()) + b"\n" for r in rows)


def bulk(client, *rows, url=BULK + "?source=acme", **headers):
    return post(client, ndjson(*rows), url=url, content_type="application/x-ndjson", **headers)


@pytest.mark.parametrize(("method", "url"), EVERY)
def test_a_stranger_is_refused(api_of, stranger, source, method, url):
    assert getattr(api_of(stranger), method)(url).status_code == 403


@pytest.mark.parametrize(("method", "url"), EVERY)
def test_the_api_never_redirects_to_the_sign_in_page(source, method, url):
    response = getattr(APIClient(), method)(url)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "not_authenticated"


@pytest.mark.parametrize("person", ["annotator", "reviewer"])
def test_annotators_and_reviewers_deliver_nothing(api_of, source, request, person):
    assert post(api_of(request.getfixturevalue(person)), ticket()).status_code == 403


@pytest.mark.parametrize("person", ["lead", "steward", "admin"])
def test_a_delivery_is_taken_once(api_of, source, request, person):
    client = api_of(request.getfixturevalue(person))
    first, again = post(client, ticket()), post(client, ticket())
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["status"] == "captured"
    assert again.json() == first.json() | {"status": "repeated"}


def test_the_example_is_named_before_it_is_made(api_of, lead, source):
    uid = post(api_of(lead), ticket()).json()["example"]
    services.process_captures()
    assert str(Example.objects.get().uid) == uid


def test_the_order_of_keys_and_the_spacing_do_not_matter(api_of, lead, source):
    payload = ticket()
    post(api_of(lead), payload)
    backwards = json.dumps(dict(reversed(payload.items())), indent=3)
    assert post(api_of(lead), backwards).json()["status"] == "repeated"


def test_other_content_under_the_same_version_is_a_conflict(api_of, lead, source):
    post(api_of(lead), ticket(version="1"))
    response = post(api_of(lead), ticket("T-1", "Something else", version="1"))
    assert response.status_code == 422
    assert "deliver the change under a new version" in response.json()["error"]["message"]


def test_the_source_may_stand_in_the_payload(api_of, lead, source):
    client = api_of(lead)
    assert post(client, ticket(source="acme"), url=ONE).status_code == 201
    assert post(client, ticket(), url=ONE + "?source=acme").status_code == 200
    assert post(client, ticket(source="other"), url=ONE + "?source=acme").status_code == 400
    assert post(client, ticket(), url=ONE).json()["error"]["field"] == "source"


def test_an_unknown_source_is_named_with_how_to_create_it(api_of, lead):
    response = post(api_of(lead), ticket(), url=ONE + "?source=nowhere")
    assert response.status_code == 404
    assert "'nowhere'" in response.json()["error"]["message"]
    assert "POST /api/v1/sources/" in response.json()["error"]["message"]


def test_a_source_that_is_switched_off_takes_nothing(api_of, lead, make_source):
    make_source(active=False)
    response = post(api_of(lead), ticket())
    assert response.status_code == 403
    assert "not active" in response.json()["error"]["message"]
    assert bulk(api_of(lead), ticket()).status_code == 403


def message(**fields):
    return {"role": "customer", "text": "Hello"} | fields


def segment(**fields):
    return {"speaker": "customer", "start_ms": 0, "end_ms": 10, "text": "Hello"} | fields


BAD = {
    "empty": (b"", ""),
    "spaces": (b"  \n", ""),
    "not JSON": (b"{", ""),
    "a list": (b"[]", ""),
    "text": (b'"x"', ""),
    "bad UTF-8": (b'{"external_id": "\xff"}', ""),
    "UTF-16": (json.dumps(ticket()).encode("utf-16"), ""),
    "deep": (b'{"external_id":"a","x":' + b"[" * 100 + b"]" * 100 + b',"messages":[{"role":"note","text":"x"}]}', ""),
    "deeper": (b'{"a":' * 100_000, ""),
    "NaN": (b'{"external_id":"a","x":NaN}', ""),
    "infinite": (json.dumps(ticket(score=1)).replace('"score": 1', '"score": 1e999'), ""),
    "repeated key": (b'{"external_id":"a","external_id":"b"}', "external_id"),
    "neither": ({"external_id": "a"}, "kind"),
    "unknown kind": (ticket(kind="letter"), "kind"),
    "no id": ({"messages": [message()]}, "external_id"),
    "empty id": (ticket(""), "external_id"),
    "blank id": (ticket("  "), "external_id"),
    "long id": (ticket("x" * 201), "external_id"),
    "NUL in id": (ticket("a\x00b"), "external_id"),
    "list as id": (ticket(["a"]), "external_id"),
    "true as id": (ticket(True), "external_id"),
    "long version": (ticket(version="x" * 81), "version"),
    "no messages": (ticket(messages=[]), "messages"),
    "messages no list": (ticket(messages="hello"), "messages"),
    "message no object": (ticket(messages=["hello"]), "messages.0"),
    "unknown role": (ticket(messages=[message(role="boss")]), "messages.0.role"),
    "text missing": (ticket(messages=[{"role": "agent"}]), "messages.0.text"),
    "text no text": (ticket(messages=[message(text=5)]), "messages.0.text"),
    "no words": (ticket(messages=[message(text=" \n")]), ""),
    "naive time": (ticket(messages=[message(at="2025-03-01T10:00:00")]), "messages.0.at"),
    "a number as time": (ticket(messages=[message(at=1700000000)]), "messages.0.at"),
    "no time": (ticket(messages=[message(at="yesterday")]), "messages.0.at"),
    "month 13": (ticket(messages=[message(at="2025-13-01T00:00:00Z")]), "messages.0.at"),
    "before the calendar": (ticket(messages=[message(at="0001-01-01T00:00:00+10:00")]), "messages.0.at"),
    "negative start": (call(segments=[segment(start_ms=-1)]), "segments.0.start_ms"),
    "ends early": (call(segments=[segment(start_ms=20)]), "segments.0"),
    "half milliseconds": (call(segments=[segment(start_ms=0.5)]), "segments.0.start_ms"),
    "sure beyond one": (call(segments=[segment(confidence=1.5)]), "segments.0.confidence"),
    "no speaker": (call(segments=[{"start_ms": 0, "end_ms": 1, "text": "x"}]), "segments.0.speaker"),
    "naive start": (call(started_at="2025-03-01T10:00:00"), "started_at"),
    "tags no list": (ticket(tags="a"), "tags"),
    "tag no text": (ticket(tags=[1]), "tags.0"),
    "source no text": (ticket(source=["acme"]), "source"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_payload_is_refused_with_its_field_and_stored_nowhere(api_of, lead, source, name):
    payload, field = BAD[name]
    response = post(api_of(lead), payload)
    assert response.status_code == 400, response.content
    assert response.json()["error"].get("field", "") == field
    assert len(response.json()["error"]["message"]) > 10
    assert not Capture.objects.exists()


@pytest.mark.parametrize("name", sorted(set(BAD) - {"empty", "spaces", "UTF-16"}))
def test_the_same_bad_payloads_as_lines_do_not_keep_the_good_ones(api_of, lead, source, name):
    payload, field = BAD[name]
    raw = (
        payload
        if isinstance(payload, bytes)
        else (payload if isinstance(payload, str) else json.dumps(payload)).encode()
    )
    response = bulk(api_of(lead), ticket("T-1"), raw, ticket("T-2"))
    found = response.json()
    assert response.status_code == 200, response.content
    assert (found["lines"], found["captured"], found["bad_count"]) == (3, 2, 1)
    assert (found["bad"][0]["line"], found["bad"][0]["field"]) == (2, field)


def test_a_body_above_the_limit_is_refused(api_of, lead, source, settings):
    settings.FLYWHEEL = settings.FLYWHEEL | {"BULK_MAX_LINE_BYTES": 2000}
    response = post(api_of(lead), ticket("T-1", "x" * 3000))
    assert response.status_code == 413
    assert "2000 bytes" in response.json()["error"]["message"]


def test_a_line_above_the_limit_is_reported_and_the_others_are_taken(api_of, lead, source, settings):
    settings.FLYWHEEL = settings.FLYWHEEL | {"BULK_MAX_LINE_BYTES": 2000}
    found = bulk(api_of(lead), ticket("T-1"), ticket("T-2", "x" * 300_000), ticket("T-3")).json()
    assert (found["captured"], found["bad_count"], found["bad"][0]["line"]) == (2, 1, 2)


def test_a_bulk_delivery_may_be_larger_than_what_a_form_may_be(api_of, lead, source, settings):
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1000
    found = bulk(api_of(lead), *(ticket(f"T-{n}") for n in range(50))).json()
    assert found == {"lines": 50, "captured": 50, "repeated": 0, "bad": [], "bad_count": 0}


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", "application/json", ""])
def test_the_content_type_does_not_matter(api_of, lead, source, content_type):
    response = post(api_of(lead), ndjson(ticket()), url=BULK + "?source=acme", content_type=content_type)
    assert response.json()["captured"] == 1


def test_a_bulk_delivery_again_is_all_repeated(api_of, lead, source):
    rows = [ticket(f"T-{n}") for n in range(3)]
    bulk(api_of(lead), *rows)
    found = bulk(api_of(lead), *rows, rows[0], b"", b"\r").json()
    assert (found["lines"], found["captured"], found["repeated"]) == (4, 0, 4)


def test_a_line_twice_in_one_delivery_is_captured_once(api_of, lead, source):
    found = bulk(
        api_of(lead),
        ticket(),
        ticket(),
        ticket("T-1", "Other words", version="1"),
        ticket("T-1", "Yet others", version="1"),
    ).json()
    assert (found["captured"], found["repeated"], found["bad_count"]) == (2, 1, 1)
    assert found["bad"][0]["field"] == "version"


def test_lines_without_an_end_and_with_windows_ends_are_read(api_of, lead, source):
    body = ndjson(ticket("T-1")).replace(b"\n", b"\r\n") + json.dumps(ticket("T-2")).encode()
    assert post(api_of(lead), b"\xef\xbb\xbf" + body, url=BULK + "?source=acme").json()["captured"] == 2


def test_lines_of_several_sources_name_them(api_of, lead, make_source):
    make_source("acme")
    make_source("beta")
    found = bulk(
        api_of(lead), ticket(source="acme"), ticket(source="beta"), ticket(source="nowhere"), ticket(), url=BULK
    ).json()
    assert (found["captured"], found["bad_count"]) == (2, 2)
    assert [bad["field"] for bad in found["bad"]] == ["source", "source"]


def test_an_empty_bulk_delivery_is_refused(api_of, lead, source):
    assert post(api_of(lead), b"\n\n", url=BULK + "?source=acme").status_code == 400


def test_a_packed_delivery_is_unpacked(api_of, lead, source):
    body = gzip.compress(ndjson(ticket("T-1"))) + gzip.compress(ndjson(ticket("T-2")))
    response = post(api_of(lead), body, url=BULK + "?source=acme", HTTP_CONTENT_ENCODING="gzip")
    assert response.json()["captured"] == 2
    one = post(api_of(lead), gzip.compress(json.dumps(ticket("T-3")).encode()), HTTP_CONTENT_ENCODING="gzip")
    assert one.status_code == 201


def test_a_bomb_is_refused(api_of, lead, source):
    bomb = gzip.compress(b"0" * 50_000_000)
    response = post(api_of(lead), bomb, url=BULK + "?source=acme", HTTP_CONTENT_ENCODING="gzip")
    assert response.status_code == 413


def test_a_packed_body_that_breaks_off_keeps_what_came_and_says_so(api_of, lead, source, monkeypatch):
    monkeypatch.setattr("flywheel.capture.services.ingest.CHUNK_ROWS", 10)
    rows = [ticket(f"T-{n}", f"My lamp {n * 7919} is broken") for n in range(50)]
    body = gzip.compress(ndjson(*rows))[:-12]
    response = post(api_of(lead), body, url=BULK + "?source=acme", HTTP_CONTENT_ENCODING="gzip")
    assert response.status_code == 400
    assert "kept" in response.json()["error"]["message"]
    assert response.json()["captured"] == Capture.objects.count() > 0


@pytest.mark.parametrize("body", [b"not gzip", b"\x1f\x8b\x08\x00garbage"])
def test_what_is_not_packed_is_named(api_of, lead, source, body):
    response = post(api_of(lead), body, url=BULK + "?source=acme", HTTP_CONTENT_ENCODING="gzip")
    assert response.status_code == 400
    assert "gzip" in response.json()["error"]["message"] or "packed" in response.json()["error"]["message"]


def test_an_unknown_packing_is_named(api_of, lead, source):
    assert post(api_of(lead), ndjson(ticket()), HTTP_CONTENT_ENCODING="br").status_code == 415


def test_bulk_asks_the_database_as_often_for_many_lines_as_for_few(api_of, lead, source, django_assert_max_num_queries):
    client = api_of(lead)
    bulk(client, ticket("warm"))
    with django_assert_max_num_queries(45):
        bulk(client, *(ticket(f"T-{n}") for n in range(900)))


def test_an_admin_or_steward_creates_sources_and_others_do_not(api_of, admin, steward, lead):
    body = {"name": "beta", "license_spdx": "CC0-1.0", "purposes": ["sft"], "consent_policy": "recorded_basis"}
    assert api_of(lead).post("/api/v1/sources/", body, format="json").status_code == 403
    created = api_of(steward).post("/api/v1/sources/", body, format="json")
    assert created.status_code == 201
    assert created.json()["owner"] == "stu"
    assert created.json()["subject_namespace"] == "beta"
    again = api_of(admin).post("/api/v1/sources/", body, format="json")
    assert again.status_code == 422
    assert api_of(lead).get("/api/v1/sources/").json()["results"][0]["name"] == "beta"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Not A Slug"},
        {"name": ""},
        {"name": 5},
        {"purposes": "sft"},
        {"purposes": ["world-domination"]},
        {"consent_policy": "none"},
        {"kind": "pigeon"},
        {"retention_days": -1},
        {"nonsense": 1},
        {"purposes": ["sft"], "prohibited_purposes": ["sft"]},
        {"active": "perhaps"},
        {"region": ""},
    ],
)
def test_a_bad_source_is_refused(api_of, admin, change):
    response = api_of(admin).post("/api/v1/sources/", {"name": "beta"} | change, format="json")
    assert response.status_code == 400, response.content
    assert response.json()["error"]["field"]


def test_a_source_is_changed(api_of, admin, lead, source):
    assert api_of(lead).patch("/api/v1/sources/acme/", {"active": False}, format="json").status_code == 403
    changed = api_of(admin).patch("/api/v1/sources/acme/", {"active": False}, format="json")
    assert changed.json()["active"] is False
    assert api_of(admin).patch("/api/v1/sources/acme/", {"name": "x"}, format="json").status_code == 400
    assert api_of(lead).get("/api/v1/sources/nowhere/").status_code == 404


def test_examples_are_shown_redacted_and_the_original_to_stewards_only(api_of, lead, steward, source):
    services.capture_one(
        source=source, payload=ticket("T-1", "I am Cora Customer, cora@example.com", "Thanks"), by=lead
    )
    services.process_captures()
    uid = Example.objects.get().uid
    assert "cora" not in api_of(lead).get("/api/v1/examples/").content.decode().lower()
    shown = api_of(lead).get(f"/api/v1/examples/{uid}/")
    assert "<EMAIL_1>" in shown.json()["conversation"][0]["text"]
    assert "cora" not in shown.content.decode().lower()
    assert api_of(lead).get(f"/api/v1/examples/{uid}/?original=1").status_code == 403
    original = api_of(steward).get(f"/api/v1/examples/{uid}/?original=1").json()["original"]
    assert "cora@example.com" in original["conversation"][0]["text"]


def test_examples_are_filtered(api_of, lead, make_source):
    services.capture_one(source=make_source("acme"), payload=ticket("A", label="returns"), by=lead)
    services.capture_one(source=make_source("beta"), payload=call("B"), by=lead)
    services.process_captures()

    def found(query):
        return [e["external_id"] for e in api_of(lead).get(f"/api/v1/examples/?{query}").json()["results"]]

    assert found("source=acme") == ["A"]
    assert found("label=returns&kind=ticket") == ["A"]
    assert found("kind=call") == ["B"]
    assert found("status=erased") == []
    assert found("duplicates=no&limit=1") == ["B"]
    assert api_of(lead).get("/api/v1/examples/?cursor=nonsense").status_code == 404


def test_the_list_of_examples_costs_the_same_for_many(api_of, lead, source, django_assert_max_num_queries):
    list(services.capture_bulk(source=source, lines=[ticket(f"T-{n}") for n in range(30)], by=lead))
    services.process_captures()
    client = api_of(lead)
    with django_assert_max_num_queries(6):
        assert len(client.get("/api/v1/examples/").json()["results"]) == 30


@pytest.mark.slow
def test_the_web_process_loads_neither_torch_nor_spacy_to_take_a_capture():
    code = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "flywheel.settings.test"
import django; django.setup()
import flywheel.urls
from django.test import Client
assert Client().post("/api/v1/captures/?source=a", b"{}", content_type="application/json").status_code == 401
print([name for name in ("torch", "spacy", "presidio_analyzer", "datasketch", "transformers") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip().splitlines()[-1:] == ["[]"], done.stdout + done.stderr
