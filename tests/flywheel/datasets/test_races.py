"""A withdrawal and a freeze at the same time, in threads, on PostgreSQL: a withdrawn person is never untainted in it."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connections

from flywheel.audit.ledger import ledger_verify
from flywheel.audit.models import LedgerEntry
from flywheel.datasets import services
from flywheel.datasets.models import Snapshot, SnapshotRow
from flywheel.datasets.services import build
from provenance.models import Subject, Withdrawal
from provenance.services import consent_withdraw
from tests.flywheel.datasets.conftest import House
from training.contract.merkle import merkle_root
from training.contract.snapshot.reader import snapshot_verify

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
        house.build(snapshot)

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


def at_once(*works) -> list[BaseException]:
    """Run all at the same moment, each on its own connection."""
    start, failures = threading.Barrier(len(works)), []

    def run(work) -> None:
        start.wait()
        try:
            work()
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def whole(snapshot, folder) -> None:
    """One frozen snapshot whose rows, files and root belong together."""
    snapshot.refresh_from_db()
    assert snapshot.status == "frozen", snapshot.error
    rows = SnapshotRow.objects.filter(snapshot=snapshot).order_by("leaf_index")
    assert list(rows.values_list("leaf_index", flat=True)) == list(range(snapshot.row_count))
    assert merkle_root(bytes.fromhex(leaf) for leaf in rows.values_list("leaf_sha256", flat=True)).hex() == (
        snapshot.merkle_root
    )
    assert snapshot_verify(folder, snapshot.merkle_root).problems == []
    assert LedgerEntry.objects.filter(action="snapshot.freeze", object=f"snapshot:{snapshot.uid}").count() == 1


def test_two_workers_that_build_the_same_snapshot_freeze_it_once_and_whole(house: House, folder_of):
    house.settle(150)
    for _ in range(3):
        snapshot = house.request()

        def build(pk: int = snapshot.pk) -> None:
            house.build(Snapshot.objects.get(pk=pk))

        assert at_once(build, build, build) == []
        house.build(snapshot)
        whole(snapshot, folder_of(snapshot))


@pytest.mark.parametrize("step", ["_rows_read", "_rows_write", "_documents_write", "_files_store"])
def test_a_worker_that_was_paused_and_wakes_up_changes_nothing(house: House, folder_of, monkeypatch, step: str):
    house.settle(60)
    snapshot = house.request()
    real, paused, awake = getattr(build, step), threading.Event(), threading.Event()

    def slow(*args, **kwargs):
        if threading.current_thread().name == "paused":
            paused.set()
            assert awake.wait(60)
        return real(*args, **kwargs)

    monkeypatch.setattr(build, step, slow)

    def sleeper() -> None:
        try:
            house.build(snapshot)
        finally:
            connections.close_all()

    thread = threading.Thread(target=sleeper, name="paused")
    thread.start()
    assert paused.wait(60)
    house.build(snapshot)
    whole(snapshot, folder_of(snapshot))
    awake.set()
    thread.join()
    snapshot.refresh_from_db()
    whole(snapshot, folder_of(snapshot))
