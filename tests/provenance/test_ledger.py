"""The ledger: a chain that cannot be changed without being noticed."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection, transaction

from provenance.ledger import ledger_append, ledger_verify
from provenance.models import LedgerEntry, LedgerHead

pytestmark = pytest.mark.django_db


def _three() -> None:
    for n in range(3):
        with transaction.atomic():
            ledger_append(actor="system", action="test.act", object=f"thing:{n}", payload={"n": n, "x": 0.5})


def _tamper(sql: str) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("DROP TRIGGER IF EXISTS ledger_no_update")
        else:
            cursor.execute("ALTER TABLE provenance_ledgerentry DISABLE TRIGGER USER")
        cursor.execute(sql)


def test_an_untouched_chain_verifies():
    assert ledger_verify().ok
    _three()
    report = ledger_verify()
    assert (report.ok, report.entries) == (True, 3)


def test_a_changed_payload_is_named():
    _three()
    _tamper("UPDATE provenance_ledgerentry SET payload = '{\"n\": 9}' WHERE seq = 2")
    assert ledger_verify().broken_seq == 2


def test_a_changed_actor_is_named():
    _three()
    _tamper("UPDATE provenance_ledgerentry SET actor = 'user:1' WHERE seq = 3")
    assert ledger_verify().broken_seq == 3


def test_a_missing_entry_is_named():
    _three()
    _tamper("DELETE FROM provenance_ledgerentry WHERE seq = 2")
    report = ledger_verify()
    assert not report.ok
    assert "entry 2 is missing" in report.reason


def test_a_cut_tail_is_noticed():
    _three()
    _tamper("DELETE FROM provenance_ledgerentry WHERE seq = 3")
    assert not ledger_verify().ok


def test_the_database_refuses_to_change_an_entry():
    _three()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        LedgerEntry.objects.filter(seq=1).update(actor="nobody")


def test_a_rolled_back_change_leaves_no_entry():
    _three()
    with transaction.atomic():
        ledger_append(actor="system", action="test.act", object="thing:9")
        transaction.set_rollback(True)
    assert LedgerHead.objects.get().seq == 3
    assert ledger_verify().ok
