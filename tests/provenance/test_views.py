"""The steward's pages of people and the ledger: who may open them and what they say."""

from __future__ import annotations

import pytest
from django.urls import reverse

from flywheel.work.jobs import jobs_drain
from flywheel.work.models import Job
from provenance import services
from tests.conftest import TESTER

pytestmark = pytest.mark.django_db


@pytest.fixture
def pages(records) -> dict[str, str]:
    """Every page's address, over two records of which one is withdrawn."""
    made = records(2)
    subject = made[0].subjects.get()
    withdrawal = services.consent_withdraw(subject=made[1].subjects.get(), by=TESTER)
    return {
        "subjects": reverse("provenance:subjects"),
        "subject": reverse("provenance:subject", args=[subject.uid]),
        "withdrawal": reverse("provenance:withdrawal", args=[withdrawal.uid]),
        "ledger": reverse("audit:ledger"),
    }


def test_every_page_opens_for_steward_and_admin(pages, client_of, steward, admin):
    for person in (steward, admin):
        for name, url in pages.items():
            assert client_of(person).get(url).status_code == 200, name


def test_no_page_opens_for_others(pages, client_of, client, stranger, annotator, reviewer, lead):
    for url in pages.values():
        assert client.get(url).status_code == 302
        for person in (stranger, annotator, reviewer, lead):
            assert client_of(person).get(url).status_code == 403
    for person in (stranger, lead):
        assert client_of(person).post(reverse("audit:ledger_verify")).status_code == 403


@pytest.mark.parametrize("text", ["customer-1@", "acme/customer-1@", "uid"])
def test_people_are_found_by_how_they_begin(records, client_of, steward, text):
    made = records(2)
    subject = made[0].subjects.get()
    page = client_of(steward).get(
        reverse("provenance:subjects"), {"q": str(subject.uid) if text == "uid" else text}
    ).content.decode()
    assert "customer-1@example.org" in page
    assert "customer-2@example.org" not in page


def test_verifying_the_ledger_is_a_job_that_ends_in_a_sentence(records, client_of, steward):
    records(1)
    client = client_of(steward)
    for _ in range(2):
        client.post(reverse("audit:ledger_verify"))
    assert Job.objects.filter(kind="ledger.verify").count() == 1
    jobs_drain()
    assert "entries fit" in client.get(reverse("audit:ledger")).content.decode()
