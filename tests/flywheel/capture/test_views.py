"""Pages of capture: who may open them, what they show, what they change."""

from __future__ import annotations

import pytest
from django.test import Client

from flywheel.capture import services
from flywheel.capture.models import Capture, Example, Source
from flywheel.stats.registry import stats_refresh
from tests.flywheel.capture.conftest import call, ticket

pytestmark = pytest.mark.django_db

PAGES = ["/sources/", "/sources/new/", "/sources/acme/", "/sources/acme/edit/", "/examples/", "/deliveries/"]
FORM = {
    "name": "beta",
    "kind": "files",
    "license_spdx": "CC0-1.0",
    "consent_policy": "explicit",
    "purposes": ["sft"],
    "region": "EU",
    "active": "on",
    "product_names": "Lampo\nKettlix 2\n",
}


@pytest.mark.parametrize("page", PAGES)
def test_people_without_the_role_are_refused(client_of, stranger, annotator, source, page):
    assert client_of(stranger).get(page).status_code == 403
    assert client_of(annotator).get(page).status_code == 403
    assert Client().get(page).status_code == 302


@pytest.mark.parametrize("page", PAGES)
def test_an_admin_and_a_steward_open_every_page(client_of, admin, steward, source, page):
    assert client_of(admin).get(page).status_code == 200
    assert client_of(steward).get(page).status_code == 200


@pytest.mark.parametrize(("page", "status"), list(zip(PAGES, [200, 403, 200, 403, 200, 200], strict=True)))
def test_a_lead_looks_and_changes_nothing(client_of, lead, source, page, status):
    assert client_of(lead).get(page).status_code == status


def test_empty_lists_say_what_to_do(client_of, admin, lead):
    assert "New source" in client_of(admin).get("/sources/").content.decode()
    assert "an admin or a steward creates it" in client_of(lead).get("/sources/").content.decode()
    assert "capture_file" in client_of(admin).get("/examples/").content.decode()
    assert "Take a filter away" in client_of(admin).get("/examples/?label=x").content.decode()


def test_sources_are_searched_by_name(client_of, lead, make_source):
    make_source("acme")
    make_source("beta")
    assert [s.name for s in client_of(lead).get("/sources/?q=BET").context["page"].rows] == ["beta"]
    assert "Show all" in client_of(lead).get("/sources/?q=gamma").content.decode()


def test_a_source_is_created_with_its_terms(client_of, steward):
    response = client_of(steward).post("/sources/new/", FORM)
    assert response.status_code == 302, response.content.decode()
    source = Source.objects.get()
    assert (source.owner, source.purposes, source.product_names) == (steward, ["sft"], ["Lampo", "Kettlix 2"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"name": "acme"}, "choose another name"),
        ({"name": "No Slug"}, "valid"),
        ({"name": "new"}, "taken by a page"),
        ({"prohibited_purposes": ["sft"]}, "both intended and prohibited"),
        ({"retention_days": "-4"}, "0"),
    ],
)
def test_a_bad_source_is_shown_again_with_the_reason(client_of, steward, source, change, reason):
    response = client_of(steward).post("/sources/new/", FORM | change)
    assert response.status_code == 200
    assert reason in response.content.decode()
    assert Source.objects.count() == 1


def test_terms_are_changed_and_the_name_stays(client_of, steward, source):
    client_of(steward).post("/sources/acme/edit/", FORM | {"active": "", "license_spdx": "CC-BY-4.0"})
    source.refresh_from_db()
    assert (source.name, source.active, source.license_spdx) == ("acme", False, "CC-BY-4.0")


def test_numbers_come_from_gauges(client_of, lead, source):
    services.capture_one(source=source, payload=ticket(), by=lead)
    services.process_captures()
    assert "Not counted yet" in client_of(lead).get("/sources/").content.decode()
    stats_refresh(due_only=False)
    assert "Counted" in client_of(lead).get("/sources/").content.decode()
    assert "Counted" in client_of(lead).get("/sources/acme/").content.decode()


def test_dead_letters_are_shown_and_replayed_by_an_admin_only(client_of, admin, steward, source):
    services.capture_one(source=source, payload=ticket("T-1", "<p></p>"), by=admin)
    services.process_captures()
    dead = Capture.objects.get()
    url = f"/sources/dead/{dead.pk}/replay/"
    assert "no message has any text" in client_of(steward).get("/sources/acme/").content.decode()
    assert client_of(steward).post(url).status_code == 403
    assert client_of(admin).get(url).status_code == 405
    assert client_of(admin).post(url).status_code == 302
    dead.refresh_from_db()
    assert dead.status == "received"
    assert client_of(admin).post("/sources/dead/999999/replay/").status_code == 404


def test_examples_are_listed_redacted_and_escaped(client_of, lead, source):
    text = "Mail cora@example.com <script>alert(1)</script>& <3"
    services.capture_one(source=source, payload=ticket("T-1", text, subject="About <EMAIL_1>"), by=lead)
    services.process_captures()
    page = client_of(lead).get("/examples/").content.decode()
    assert 'class="pii"' in page
    assert "cora" not in page.lower()
    assert "alert(1)" not in page
    assert str(Example.objects.get().uid) in page


def test_examples_are_filtered_and_paged(client_of, lead, source):
    rows = [ticket(f"T-{n:03d}", f"text {n * 7919}", label="odd" if n % 2 else "even") for n in range(120)]
    list(services.capture_bulk(source=source, lines=[*rows, call("C-1")], by=lead))
    services.process_captures()
    client = client_of(lead)
    first = client.get("/examples/?label=odd").context["table"].page
    assert first.next
    second = client.get(f"/examples/?label=odd&after={first.next}").context["table"].page
    seen = [e.external_id for e in [*first.rows, *second.rows]]
    assert len(seen) == len(set(seen)) == 60
    for query, count in (
        ("kind=call", 1), ("external_id=T-005&status=nonsense", 0), ("external_id=T-005", 1), ("q=T-00", 10), ("q=C", 1),
    ):
        assert len(client.get(f"/examples/?{query}").context["table"].rows) == count, query
    assert client.get("/examples/?after=x").status_code == 200
    assert client.get("/examples/?after=x&external_id=%00").status_code == 400


def test_each_count_of_a_source_opens_into_a_list_of_as_many(client_of, admin, make_source):
    source, other = make_source("acme"), make_source("beta")
    rows = [ticket(f"T-{n:03d}", f"text {n * 7919}") for n in range(60)]
    list(services.capture_bulk(source=source, lines=[*rows, ticket("T-dead", "<p></p>")], by=admin))
    services.process_captures()
    list(services.capture_bulk(source=source, lines=[ticket("T-wait"), ticket("T-wait", version="2")], by=admin))
    services.capture_one(source=other, payload=ticket("B-1"), by=admin)
    stats_refresh(due_only=False)
    client = client_of(admin)
    counts = {"": 63, "status=received&": 2, "status=dead&": 1}
    whole, listed = (client.get(page).content.decode() for page in ("/sources/acme/", "/sources/"))
    for query, count in counts.items():
        assert _walked(client, f"/deliveries/?{query}source=acme") == count
    for query in ("", "status=received&amp;"):
        assert f'href="/deliveries/?{query}source=acme"' in whole
    for address in ("/deliveries/?source=acme", "/examples/?source=acme", "/examples/?duplicates=yes&amp;source=acme",
                    "/deliveries/?status=dead&amp;source=acme"):
        assert f'href="{address}"' in listed
    assert _walked(client, "/deliveries/?status=received") == 3
    assert _walked(client, "/deliveries/?external_id=T-wait") == 2
    assert "Nothing matches" in client.get("/deliveries/?status=odd").content.decode()


def _walked(client, address):
    seen, after = set(), ""
    while True:
        page = client.get(f"{address}&after={after}").context["table"].page
        seen |= {capture.pk for capture in page.rows}
        if not page.next:
            return len(seen)
        after = page.next


def test_the_list_of_examples_asks_as_often_for_many_as_for_few(client_of, lead, source, django_assert_max_num_queries):
    list(services.capture_bulk(source=source, lines=[ticket(f"T-{n}") for n in range(60)], by=lead))
    services.process_captures()
    client = client_of(lead)
    with django_assert_max_num_queries(8):
        client.get("/examples/")
    with django_assert_max_num_queries(8):
        client.get("/deliveries/")
    with django_assert_max_num_queries(10):
        client.get("/sources/")
