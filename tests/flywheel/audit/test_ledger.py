"""The ledger: a chain that cannot be changed without being noticed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction

from flywheel.audit.ledger import ledger_append, ledger_verify
from flywheel.audit.models import LedgerEntry, LedgerHead

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
            cursor.execute("ALTER TABLE audit_ledgerentry DISABLE TRIGGER USER")
        cursor.execute(sql)


def test_an_untouched_chain_verifies():
    assert ledger_verify().ok
    _three()
    report = ledger_verify()
    assert (report.ok, report.entries) == (True, 3)


CHANGES = {
    "seq": "-7", "at": "'2020-01-01 00:00:00+00:00'", "actor": "'user:1'", "action": "'test.other'", "object": "'thing:8'",
    "payload": "'{\"n\": 9}'", "payload_sha256": f"'{'0' * 64}'", "previous": f"'{'1' * 64}'",
    "entry_sha256": f"'{'2' * 64}'",
}


def test_every_column_is_tried():
    assert set(CHANGES) == {field.column for field in LedgerEntry._meta.fields}


@pytest.mark.parametrize("column", CHANGES)
@pytest.mark.parametrize("entry", [1, 2, 3])
def test_a_change_of_any_column_of_any_entry_is_named(column: str, entry: int):
    _three()
    _tamper(f"UPDATE audit_ledgerentry SET {column} = {CHANGES[column]} WHERE seq = {entry}")
    report = ledger_verify()
    # An entry renumbered to before the first is found there; every other change where it was made.
    assert report.broken_seq == (-7 if column == "seq" else entry), report.reason
    assert report.reason


@pytest.mark.parametrize("payload", ['{"n": 99999999999999999999}', '{"n": 1, "x": 0.5, "y": null}', "[]", "null", '"n"', "{}"])
def test_a_payload_that_has_no_canonical_form_or_another_shape_is_named(payload: str):
    _three()
    _tamper(f"UPDATE audit_ledgerentry SET payload = '{payload}' WHERE seq = 2")
    assert ledger_verify().broken_seq == 2


def test_a_moment_of_a_microsecond_is_noticed():
    _three()
    entry = LedgerEntry.objects.get(seq=2)
    moved = (entry.at + timedelta(microseconds=1)).isoformat(sep=" ")
    _tamper(f"UPDATE audit_ledgerentry SET at = '{moved}' WHERE seq = 2")
    assert ledger_verify().broken_seq == 2


@pytest.mark.parametrize("gone", [1, 2])
def test_a_missing_entry_is_named(gone: int):
    _three()
    _tamper(f"DELETE FROM audit_ledgerentry WHERE seq = {gone}")
    report = ledger_verify()
    assert (report.broken_seq, report.reason) == (gone, f"entry {gone} is missing")


def test_two_entries_that_changed_places_are_named():
    _three()
    for old, new in ((2, 90), (3, 2), (90, 3)):
        _tamper(f"UPDATE audit_ledgerentry SET seq = {new} WHERE seq = {old}")
    assert ledger_verify().broken_seq == 2


def test_an_entry_that_was_put_in_is_named():
    _three()
    _tamper("INSERT INTO audit_ledgerentry (seq, at, actor, action, object, payload, payload_sha256, previous, "
            "entry_sha256) SELECT 4, at, actor, action, object, payload, payload_sha256, previous, entry_sha256 "
            "FROM audit_ledgerentry WHERE seq = 3")
    assert ledger_verify().broken_seq == 4


def test_a_head_that_was_set_back_is_noticed():
    _three()
    _tamper("UPDATE audit_ledgerhead SET seq = 2")
    assert "the head says 2 entries" in ledger_verify().reason


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/St_Johns", "UTC"])
def test_a_hash_does_not_depend_on_the_zone_that_times_are_shown_in(settings, zone: str):
    _three()
    settings.TIME_ZONE = zone
    assert ledger_verify().ok
    _three()
    settings.TIME_ZONE = "UTC"
    assert ledger_verify().entries == 6


def test_a_cut_tail_is_noticed():
    _three()
    _tamper("DELETE FROM audit_ledgerentry WHERE seq = 3")
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
