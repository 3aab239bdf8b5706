"""Deliveries from attackers and broken clients: each gets a clear refusal and never a server error."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.test import Client
from rest_framework.test import APIClient

from flywheel.capture import services
from flywheel.capture.models import Capture, Example
from tests.flywheel.capture.conftest import ticket
from tests.flywheel.capture.test_api import BULK, ONE, bulk, ndjson, post

pytestmark = pytest.mark.django_db


def cut_off(client: APIClient, url: str, body: bytes, *, missing: int) -> Any:
    """A POST whose announced length is longer than what comes, as a server hands it over."""
    return client.generic(
        "POST", url, b"", content_type="application/json",
        **{"CONTENT_LENGTH": str(len(body) + missing), "wsgi.input": io.BytesIO(body)},
    )


def test_a_stream_that_ends_early_at_the_end_of_a_line_is_no_success(api_of, lead, source):
    answer = cut_off(api_of(lead), f"{BULK}?source=acme", ndjson(ticket("T-1"), ticket("T-2")), missing=1)
    assert answer.status_code == 400
    assert "the connection broke off" in answer.json()["error"]["message"]
    again = bulk(api_of(lead), ticket("T-1"), ticket("T-2"), ticket("T-3"))
    assert again.json()["captured"] + again.json()["repeated"] == 3
    assert Capture.objects.count() == 3


def test_one_delivery_that_ends_early_is_not_taken(api_of, lead, source):
    assert cut_off(api_of(lead), f"{ONE}?source=acme", json.dumps(ticket()).encode(), missing=5).status_code == 400
    assert not Capture.objects.exists()


@pytest.mark.parametrize("name", ["a\x00b", "x" * 5000, "../etc", "\ud800", "acme\n"])
def test_a_source_that_no_database_could_name_is_a_bad_line(api_of, lead, source, name):
    answer = bulk(api_of(lead), ticket("T-1", source=name), ticket("T-2", source="acme"), url=BULK)
    assert answer.status_code == 200
    assert (answer.json()["captured"], answer.json()["bad"][0]["field"]) == (1, "source")
    assert post(api_of(lead), ticket("T-3", source=name), url=ONE).status_code in (400, 404)


@pytest.mark.parametrize(
    ("payload", "field", "words"),
    [
        (b'{"external_id":"x","n":' + b"9" * 5000 + b',"messages":[{"role":"customer","text":"x"}]}', "", "too many"),
        (ticket("x" * 201), "external_id", "at most 200 characters"),
        (ticket("\u2003 "), "external_id", "is blank"),
        (ticket("T-1", version=" "), "version", "is blank"),
        (ticket("T-1", purposes=["sft", "world domination"]), "purposes.1", "use sft, preference"),
    ],
)
def test_a_refusal_names_the_field_and_the_fault(api_of, lead, source, payload, field, words):
    error = post(api_of(lead), payload).json()["error"]
    assert (error.get("field", ""), words in error["message"]) == (field, True), error


@pytest.mark.parametrize("text", ["\u200b\u200d", "\u202e", "\u00ad\u00ad", "<br><br>", "\ufeff", "\u2063 \n"])
def test_a_conversation_of_which_nothing_can_be_seen_is_a_dead_letter(api_of, lead, source, text):
    post(api_of(lead), {"external_id": "T-1", "messages": [{"role": "customer", "text": text}]})
    services.process_captures()
    assert "no message has any text" in Capture.objects.get().error
    assert not Example.objects.exists()


def test_an_address_that_does_not_exist_is_answered_in_the_apis_own_shape(api_of, lead, client: Client):
    for asked in (api_of(lead), client):
        error = asked.post("/api/v1/nowhere/").json()["error"]
        assert (error["code"], "/api/v1/schema/" in error["message"]) == ("not_found", True)
    assert "<html" in client.get("/nowhere/").content.decode()


def test_a_fault_of_ours_is_answered_in_the_apis_own_shape(api_of, lead, source, monkeypatch):
    monkeypatch.setattr("flywheel.capture.services.capture_one", lambda **_: 1 / 0)
    client = api_of(lead)
    client.raise_request_exception = False
    answer = post(client, ticket())
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "error")
    assert "ZeroDivision" not in answer.content.decode()
