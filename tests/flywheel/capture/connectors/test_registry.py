"""Every registered connector keeps the protocol, and a new one needs only its module and its entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import Client

from flywheel.capture.connectors import CONNECTORS, Options, PullConnector, ReceiveConnector, connector_choices
from flywheel.capture.domain.payloads import Row
from flywheel.capture.models import Capture, Source
from tests.flywheel.capture.conftest import ticket


@pytest.mark.parametrize("key", list(CONNECTORS))
def test_every_connector_has_a_title_explained_options_and_a_way_in(key: str) -> None:
    connector = CONNECTORS[key]
    assert connector.title
    assert all(connector.options.values())
    assert isinstance(connector, PullConnector | ReceiveConnector)
    connector.check({})
    assert (key, connector.title) in connector_choices()


@pytest.mark.django_db
def test_one_entry_makes_a_connector_usable_from_terms_to_captures(
    monkeypatch: pytest.MonkeyPatch, make_source: Callable[..., Source], client_of: Callable[..., Client], admin: Any
) -> None:
    class Helpdesk:
        title = "Helpdesk"
        options: Mapping[str, str] = {"team": "Name of the team."}

        def check(self, options: Options) -> None:
            if not options.get("team"):
                raise ValueError("team is missing; name the team")

        def receive(self, request: HttpRequest) -> Iterator[Row]:
            yield Row(1, ticket(request.body.decode()))

    monkeypatch.setitem(CONNECTORS, "helpdesk", Helpdesk())
    source = make_source("desk", kind="helpdesk", options={"team": "lamps"})
    answer = client_of(admin).post(f"/api/v1/sources/{source.name}/deliveries/", b"T-9", content_type="text/plain")
    assert (answer.status_code, answer.json()["captured"]) == (200, 1)
    assert Capture.objects.get().external_id == "T-9"
