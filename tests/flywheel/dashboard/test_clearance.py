"""The clearance pages: the funnel, its lists, and the work that they take."""

from __future__ import annotations

import pytest
from django.urls import reverse

from flywheel.stats.registry import stats_refresh
from provenance import services
from tests.provenance.conftest import draft, records  # noqa: F401

pytestmark = pytest.mark.django_db


@pytest.fixture
def pages(records) -> dict[str, str]:  # noqa: F811
    """Every page's address, over three records of which one is refused."""
    records(2)
    services.record_provenance_bulk([draft(9, license_spdx="")])
    services.due_judge()
    stats_refresh(due_only=False)
    return {
        "clearance": reverse("dashboard:clearance"),
        "refused": reverse("dashboard:clearance_list", args=["sft", "licence_unknown"]),
        "cleared": reverse("dashboard:clearance_list", args=["sft", "cleared"]),
    }


def test_only_stewards_and_admins_open_clearance(
    pages, client_of, client, stranger, annotator, reviewer, lead, steward, admin
):
    for url in pages.values():
        assert client.get(url).status_code == 302
        for person in (stranger, annotator, reviewer, lead):
            assert client_of(person).get(url).status_code == 403
        for person in (steward, admin):
            assert client_of(person).get(url).status_code == 200


def test_each_count_opens_into_its_list(pages, client_of, steward):
    page = client_of(steward).get(pages["clearance"]).content.decode()
    assert f'{pages["refused"]}?region=EU' in page
    assert "t-9" in client_of(steward).get(pages["refused"]).content.decode()
    assert "t-1" in client_of(steward).get(pages["cleared"]).content.decode()


def test_a_rule_in_the_address_leads_to_its_list(pages, client_of, steward):
    answer = client_of(steward).get(pages["clearance"], {"rule": "licence_unknown", "region": "EU"})
    assert answer["Location"] == f"{pages['refused']}?region=EU"
    assert client_of(steward).get(pages["clearance"], {"purpose": "selling"}).status_code == 400
    unknown = reverse("dashboard:clearance_list", args=["sft", "nope"])
    assert client_of(steward).get(unknown).status_code == 404


def test_the_clearance_page_counts_no_rows(pages, client_of, steward, django_assert_max_num_queries):
    client = client_of(steward)
    with django_assert_max_num_queries(8):
        client.get(pages["clearance"])
