"""The steward's pages: who may open them, what they say, and what a click does."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from flywheel.stats.registry import stats_refresh
from flywheel.work.jobs import jobs_drain
from flywheel.work.models import Job
from provenance import services
from provenance.models import ProvenanceRecord, Withdrawal
from tests.conftest import TESTER

pytestmark = pytest.mark.django_db


@pytest.fixture
def pages(records) -> dict[str, str]:
    """Every page's address, over two records of which one is refused."""
    made = records(2)
    services.record_provenance_bulk([_unlicensed()])
    services.due_judge()
    stats_refresh(due_only=False)
    subject = made[0].subjects.get()
    withdrawal = services.consent_withdraw(subject=made[1].subjects.get(), by=TESTER)
    return {
        "clearance": reverse("provenance:clearance"),
        "refused": reverse("provenance:clearance_list", args=["sft", "licence_unknown"]),
        "cleared": reverse("provenance:clearance_list", args=["sft", "cleared"]),
        "record": reverse("provenance:record", args=[made[0].uid]),
        "subjects": reverse("provenance:subjects"),
        "subject": reverse("provenance:subject", args=[subject.uid]),
        "tasks": reverse("provenance:subject_reach", args=[subject.uid, "tasks"]),
        "rows": reverse("provenance:subject_reach", args=[subject.uid, "snapshot rows"]),
        "withdraw": reverse("provenance:subject_withdraw", args=[subject.uid]),
        "withdrawal": reverse("provenance:withdrawal", args=[withdrawal.uid]),
        "ledger": reverse("audit:ledger"),
    }


def _unlicensed() -> Any:
    from tests.provenance.conftest import draft

    return draft(9, license_spdx="")


def test_every_page_opens_for_steward_and_admin(pages, client_of, steward, admin):
    for person in (steward, admin):
        for name, url in pages.items():
            assert client_of(person).get(url).status_code == 200, name


def test_no_page_opens_for_others(pages, client_of, client, stranger, annotator, reviewer, lead):
    for url in pages.values():
        assert client.get(url).status_code == 302
        for person in (stranger, annotator, reviewer, lead):
            assert client_of(person).get(url).status_code == 403


def test_nobody_else_may_decide_or_withdraw(records, client_of, stranger, lead):
    (record,) = records(1)
    subject = record.subjects.get()
    for person in (stranger, lead):
        client = client_of(person)
        decide = reverse("provenance:record_decide", args=[record.uid, "quarantine"])
        assert client.post(decide, {"reason": "x"}).status_code == 403
        withdraw = reverse("provenance:subject_withdraw", args=[subject.uid])
        assert client.post(withdraw, {"purposes": ["sft"], "confirm": str(subject)}).status_code == 403
        assert client.post(reverse("audit:ledger_verify")).status_code == 403
    assert not Withdrawal.objects.exists()


def test_each_count_opens_into_its_list(pages, client_of, steward):
    page = client_of(steward).get(pages["clearance"]).content.decode()
    assert f'{pages["refused"]}?region=EU' in page
    assert "t-9" in client_of(steward).get(pages["refused"]).content.decode()
    assert "t-1" in client_of(steward).get(pages["cleared"]).content.decode()


def test_a_rule_in_the_address_leads_to_its_list(pages, client_of, steward):
    answer = client_of(steward).get(pages["clearance"], {"rule": "licence_unknown", "region": "EU"})
    assert answer["Location"] == f"{pages['refused']}?region=EU"
    assert client_of(steward).get(pages["clearance"], {"purpose": "selling"}).status_code == 400
    unknown = reverse("provenance:clearance_list", args=["sft", "nope"])
    assert client_of(steward).get(unknown).status_code == 404


def test_the_clearance_page_counts_no_rows(pages, client_of, steward, django_assert_max_num_queries):
    client = client_of(steward)
    with django_assert_max_num_queries(8):
        client.get(pages["clearance"])


def test_withdrawing_says_what_it_reaches_and_wants_to_be_typed(records, client_of, steward):
    (record,) = records(1)
    subject = record.subjects.get()
    url = reverse("provenance:subject_withdraw", args=[subject.uid])
    client = client_of(steward)
    assert "Provenance records" in client.get(url).content.decode()
    wrong = client.post(url, {"purposes": ["sft"], "confirm": "yes"})
    assert wrong.status_code == 422
    assert "nothing was changed" in wrong.content.decode()
    assert not Withdrawal.objects.exists()
    done = client.post(url, {"purposes": ["sft"], "reason": "letter", "confirm": str(subject)})
    assert done["Location"] == reverse("provenance:withdrawal", args=[Withdrawal.objects.get().uid])
    assert Withdrawal.objects.get().purposes == ["sft"]
    again = client.post(url, {"purposes": ["sft"], "confirm": str(subject)}, follow=True)
    assert "withdrawn already; nothing changed" in again.content.decode()
    assert Withdrawal.objects.count() == 1


def test_a_steward_decides_on_the_page_of_a_record(records, client_of, steward):
    (record,) = records(1)
    client = client_of(steward)
    client.post(reverse("provenance:record_decide", args=[record.uid, "quarantine"]), {"reason": "odd"})
    assert ProvenanceRecord.objects.get().quarantined_at is not None
    page = client.get(reverse("provenance:record", args=[record.uid])).content.decode()
    assert "In quarantine since" in page
    again = client.post(reverse("provenance:record_decide", args=[record.uid, "quarantine"]), {"reason": "odd"})
    assert again.status_code == 422
    client.post(reverse("provenance:record_decide", args=[record.uid, "release"]), {"reason": "fine"})
    assert ProvenanceRecord.objects.get().quarantined_at is None


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
