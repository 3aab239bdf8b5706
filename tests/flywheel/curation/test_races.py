"""A withdrawal and a freeze at the same time, in threads, on PostgreSQL: whoever withdrew is never untainted in it."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connections

from flywheel.curation import services
from flywheel.curation.models import SnapshotRow
from provenance.ledger import ledger_verify
from provenance.models import Subject, Withdrawal
from provenance.services import consent_withdraw
from tests.flywheel.curation.conftest import House

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

CUSTOMERS = 40


def test_nobody_who_withdrew_is_untainted_in_a_frozen_snapshot(house: House, steward):
    house.settle(120, customers=CUSTOMERS)
    snapshot = house.request()
    start = threading.Barrier(3)
    failures: list[BaseException] = []

    def withdraw(customers: range) -> None:
        start.wait()
        for number in customers:
            consent_withdraw(subject=Subject.objects.get(external_ref=f"customer-{number}@example.org"), by=steward)
            time.sleep(0.02)

    def build() -> None:
        start.wait()
        services.snapshot_build(snapshot_id=snapshot.pk)

    def guarded(work) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    works = [build, lambda: withdraw(range(20)), lambda: withdraw(range(20, 40))]
    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for withdrawal in Withdrawal.objects.all():
        services.snapshots_withdraw(list(withdrawal.subject.records.values_list("pk", flat=True)))
    snapshot.refresh_from_db()
    assert snapshot.status in ("frozen", "tainted")
    withdrawn = Withdrawal.objects.values("subject__records")
    assert Withdrawal.objects.count() == CUSTOMERS
    assert not SnapshotRow.objects.filter(snapshot=snapshot, record__in=withdrawn, tainted_at=None).exists()
    assert ledger_verify().ok


def test_one_withdrawal_comes_of_many_at_once(house: House, steward):
    house.settle(3, customers=1)
    subject = Subject.objects.get(external_ref="customer-0@example.org")

    def withdraw() -> None:
        try:
            consent_withdraw(subject=subject, by=steward)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=withdraw) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Withdrawal.objects.count() == 1
