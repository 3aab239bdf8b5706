"""The ledger: a chain that cannot be changed without being noticed."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection, transaction

from flywheel.audit.actions import Action
from flywheel.audit.ledger import entries_of, ledger_append, ledger_verify
from flywheel.audit.models import LedgerEntry, LedgerHead, LedgerSubject
from flywheel.core.actors import SYSTEM

pytestmark = pytest.mark.django_db


def _three() -> None:
    for n in range(3):
        with transaction.atomic():
            ledger_append(
                actor=SYSTEM, action=Action.TASK_SUBMIT, object=f"thing:{n}", payload={"n": n, "x": 0.5}
            )


def _tamper(sql: str) -> None:
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("DROP TRIGGER IF EXISTS ledger_no_update")
        else:
            # PostgreSQL changes no table whose deferred foreign keys are still to be checked.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("ALTER TABLE audit_ledgerentry DISABLE TRIGGER USER")
        cursor.execute(sql)


def test_an_untouched_chain_verifies():
    assert ledger_verify().ok
    _three()
    report = ledger_verify()
    assert (report.ok, report.entries) == (True, 3)


CHANGES = {
    "seq": "-7", "at": "'2020-01-01 00:00:00+00:00'", "actor": "'user:1'", "action": "'test.other'", "object": "'thing:8'",
    "payload": "'{\"n\": 9}'", "payload_sha256": f"'{'0' * 64}'", "subjects_sha256": f"'{'0' * 64}'", "previous": f"'{'1' * 64}'",
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
    _tamper("INSERT INTO audit_ledgerentry (seq, at, actor, action, object, payload, payload_sha256, subjects_sha256, previous, "
            "entry_sha256) SELECT 4, at, actor, action, object, payload, payload_sha256, subjects_sha256, previous, entry_sha256 "
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
        ledger_append(
            actor=SYSTEM, action=Action.TASK_SUBMIT, object="thing:9"
        )
        transaction.set_rollback(True)
    assert LedgerHead.objects.get().seq == 3
    assert ledger_verify().ok


def _on(touched: dict[str, list[object]]) -> LedgerEntry:
    with transaction.atomic():
        return ledger_append(actor=SYSTEM, action=Action.TASK_MAKE, object="project:1", touched=touched)


def test_an_act_on_many_things_has_one_subject_row_for_each():
    entry = _on({"project": [1], "example": [3, 2, 3, None]})
    rows = LedgerSubject.objects.filter(entry=entry).order_by("kind", "ident")
    assert [(row.kind, row.ident) for row in rows] == [("example", "2"), ("example", "3"), ("project", "1")]
    assert ledger_verify().ok


def test_the_history_of_a_thing_is_what_touched_it():
    first, _, third = _on({"task": [1, 2]}), _on({"task": [3]}), _on({"example": [1], "task": [2]})
    assert [entry.seq for entry in entries_of({"task": [1, 2]})] == [third.seq, first.seq]
    assert [entry.seq for entry in entries_of({"example": [1]})] == [third.seq]
    assert list(entries_of({"task": []})) == []


@pytest.mark.parametrize("sql", [
    "UPDATE audit_ledgersubject SET ident = '9' WHERE entry_id = 2 AND ident = '1'",
    "DELETE FROM audit_ledgersubject WHERE entry_id = 2",
    "INSERT INTO audit_ledgersubject (entry_id, kind, ident) VALUES (2, 'task', '99')",
])
def test_a_changed_subject_is_found_at_its_entry(sql: str):
    for n in range(3):
        _on({"task": [n]})
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("DROP TRIGGER IF EXISTS ledger_subject_no_update")
            cursor.execute("DROP TRIGGER IF EXISTS ledger_subject_no_delete")
        else:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("ALTER TABLE audit_ledgersubject DISABLE TRIGGER USER")
        cursor.execute(sql)
    report = ledger_verify()
    assert (report.broken_seq, report.reason) == (2, "the subjects of entry 2 were changed")


@pytest.mark.parametrize("sql", ["UPDATE audit_ledgersubject SET ident = '9'", "DELETE FROM audit_ledgersubject"])
def test_the_database_refuses_to_change_subjects(sql: str):
    if sql.startswith("DELETE") and connection.vendor == "sqlite":
        pytest.skip("the suite drops this trigger so that tables can be emptied between tests")
    _on({"task": [1]})
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)


def test_an_action_that_is_not_declared_cannot_be_recorded():
    with pytest.raises(ValueError, match="is not a valid Action"), transaction.atomic():
        ledger_append(actor=SYSTEM, action="task.invent", object="task:1")  # type: ignore[arg-type]
