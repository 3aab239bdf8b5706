"""Appends at the same moment, on PostgreSQL: one chain without gaps, whatever is rolled back."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from flywheel.audit.actions import Action
from flywheel.audit.ledger import ledger_append, ledger_verify
from flywheel.audit.models import LedgerEntry
from flywheel.core.actors import SYSTEM

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

THREADS, EACH = 8, 25


def at_once(work: Callable[[int], None], count: int = THREADS) -> list[BaseException]:
    start, failures = threading.Barrier(count), []

    def run(number: int) -> None:
        start.wait()
        try:
            work(number)
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return failures


def test_appends_at_once_make_one_chain_without_gaps():
    def work(number: int) -> None:
        for n in range(EACH):
            with transaction.atomic():
                ledger_append(
                    actor=SYSTEM, action=Action.TASK_SUBMIT, object=f"thing:{number}", payload={"n": n}
                )

    assert at_once(work) == []
    assert list(LedgerEntry.objects.order_by("seq").values_list("seq", flat=True)) == list(range(1, THREADS * EACH + 1))
    for number in range(THREADS):
        mine = LedgerEntry.objects.filter(object=f"thing:{number}").order_by("seq").values_list("payload", flat=True)
        assert [payload["n"] for payload in mine] == list(range(EACH))
    assert ledger_verify().ok


def test_what_is_rolled_back_leaves_no_gap():
    def work(number: int) -> None:
        for n in range(EACH):
            with transaction.atomic():
                ledger_append(
                    actor=SYSTEM, action=Action.TASK_SUBMIT, object=f"thing:{number}", payload={"n": n}
                )
                if (n + number) % 3 == 0:
                    transaction.set_rollback(True)

    assert at_once(work) == []
    report = ledger_verify()
    assert report.ok, report.reason
    assert report.entries == sum((n + number) % 3 != 0 for n in range(EACH) for number in range(THREADS))


def test_the_very_first_entries_at_once_share_one_head():
    def work(number: int) -> None:
        with transaction.atomic():
            ledger_append(
                actor=SYSTEM, action=Action.TASK_SUBMIT, object=f"thing:{number}"
            )

    for _ in range(5):
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE audit_ledgerentry, audit_ledgerhead CASCADE")
        assert at_once(work) == []
        assert ledger_verify().entries == THREADS


def test_verifying_while_others_append_never_sees_a_broken_chain():
    stop, reports = threading.Event(), []

    def work(number: int) -> None:
        if number == 0:
            while not stop.is_set():
                reports.append(ledger_verify())
            return
        try:
            for n in range(EACH):
                with transaction.atomic():
                    ledger_append(
                        actor=SYSTEM, action=Action.TASK_SUBMIT, object=f"thing:{number}", payload={"n": n}
                    )
        finally:
            if number == 1:
                stop.set()

    assert at_once(work, 4) == []
    assert [report.reason for report in reports if not report.ok] == []
