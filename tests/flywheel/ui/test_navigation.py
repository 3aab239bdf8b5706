"""No person is offered a page that then refuses them: each role follows every link it is shown."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.test import Client

from flywheel.core.models import User
from tests.flywheel.dashboard.conftest import Turn, count_all

LINK = re.compile(r'href="(/[^"#]*)')
UNFOLLOWED = re.compile(r"/static/|/accounts/logout/|/files/|\.zip$|\.jsonl$|\.json$")
NUMBERS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=[/=])\d+|(?<==)[^&]+")


def _kind(path: str) -> str:
    """One page of each kind is enough: numbers and filters do not make another."""
    return NUMBERS.sub("N", path)


@pytest.mark.parametrize("role", ["annotator", "reviewer", "lead", "steward", "admin"])
def test_no_page_offers_a_link_that_refuses(
    role: str, turn: Turn, client_of: Callable[[User], Client], request: pytest.FixtureRequest
) -> None:
    count_all()
    client = client_of(request.getfixturevalue(role))
    waiting, seen, refused = ["/"], {"/"}, []
    while waiting:
        path = waiting.pop()
        answer = client.get(path, follow=True)
        if answer.status_code != 200:
            refused.append((path, answer.status_code))
        elif "text/html" in answer["Content-Type"]:
            for link in LINK.findall(answer.content.decode()):
                link = link.replace("&amp;", "&")
                if not UNFOLLOWED.search(link) and _kind(link) not in seen:
                    seen.add(_kind(link))
                    waiting.append(link)
    assert refused == []
    assert len(seen) > 4
