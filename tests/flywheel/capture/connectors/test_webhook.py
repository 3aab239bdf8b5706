"""Deliveries to a source's own address."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

import pytest
from django.test import Client

from flywheel.capture.models import Source
from flywheel.core.models import User
from tests.flywheel.capture.conftest import ticket

pytestmark = pytest.mark.django_db


def test_one_object_or_one_per_line_is_captured(source: Source, client_of: Callable[[User], Client], admin: User) -> None:
    client, address = client_of(admin), f"/api/v1/sources/{source.name}/deliveries/"
    assert client.post(address, ticket("T-1"), content_type="application/json").json()["captured"] == 1
    lines = "\n".join(json.dumps(ticket(f"T-{n}")) for n in (1, 2, 3)).encode()
    found = client.post(address, gzip.compress(lines), content_type="application/x-ndjson", HTTP_CONTENT_ENCODING="gzip")
    assert {key: found.json()[key] for key in ("lines", "captured", "repeated")} == {
        "lines": 3, "captured": 2, "repeated": 1,
    }


def test_a_bad_line_is_reported_and_an_empty_body_is_refused(
    source: Source, client_of: Callable[[User], Client], admin: User
) -> None:
    client, address = client_of(admin), f"/api/v1/sources/{source.name}/deliveries/"
    found = client.post(address, b"{}\n", content_type="application/json").json()
    assert (found["bad_count"], found["bad"][0]["line"]) == (1, 1)
    assert client.post(address, b"", content_type="application/json").status_code == 400
    refused = client.post(address, b"x", content_type="application/json", HTTP_CONTENT_ENCODING="br")
    assert refused.status_code == 415


def test_a_connector_that_only_reads_files_receives_nothing(
    make_source: Callable[..., Source], client_of: Callable[[User], Client], admin: User
) -> None:
    make_source("exports", kind="files")
    answer = client_of(admin).post("/api/v1/sources/exports/deliveries/", ticket(), content_type="application/json")
    assert answer.status_code == 422
    assert "receives nothing over HTTP" in answer.json()["error"]["message"]
