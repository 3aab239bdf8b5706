"""Checkpoints show what a chain alone cannot: that its newest entries were deleted, or that it was rewritten."""

from __future__ import annotations

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from flywheel.audit.actions import Action
from flywheel.audit.checkpoints import (
    FOLDER,
    Checkpoint,
    checkpoint_fault,
    checkpoint_sign,
    checkpoint_store,
    checkpoints_stored,
    public_key,
)
from flywheel.audit.ledger import ledger_append, ledger_verify
from flywheel.audit.models import LedgerEntry, LedgerHead
from flywheel.core.actors import SYSTEM
from tests.flywheel.audit.test_ledger import _tamper, _three

pytestmark = pytest.mark.django_db


def stored() -> Checkpoint:
    head = checkpoint_store()
    assert head is not None
    return head


def cut(length: int) -> None:
    """Take the end of the chain off, and set the head row back as an insider could."""
    _tamper(f"DELETE FROM audit_ledgerentry WHERE seq > {length}")
    last = LedgerEntry.objects.filter(seq=length).values_list("entry_sha256", flat=True).first() or "0" * 64
    LedgerHead.objects.update(seq=length, entry_sha256=last)


# -- what they find --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("length", [2, 0])
def test_a_chain_cut_with_its_head_row_is_noticed(length: int) -> None:
    _three()
    stored()
    cut(length)
    report = ledger_verify()
    assert report.broken_seq == length + 1
    assert "counts 3 entries" in report.reason


def test_a_chain_that_was_written_anew_is_noticed() -> None:
    _three()
    stored()
    cut(1)
    with transaction.atomic():
        for n in range(5):
            ledger_append(
                actor=SYSTEM, action=Action.TASK_SUBMIT, object=f"thing:{n}"
            )
    report = ledger_verify()
    assert (report.broken_seq, "rewritten" in report.reason) == (3, True)


def test_a_chain_that_grew_fits_its_older_heads() -> None:
    for day in range(3):
        _three()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(timezone, "now", lambda day=day: NOW + timedelta(days=day))
            stored()
    report = ledger_verify()
    assert (report.ok, report.entries, report.heads) == (True, 9, 3)


NOW = timezone.now()


def test_a_head_that_was_kept_elsewhere_is_enough(tmp_path: Any) -> None:
    _three()
    out = StringIO()
    call_command("ledger_head", stdout=out)
    kept = tmp_path / "heads.jsonl"
    kept.write_text(out.getvalue())
    again = StringIO()
    call_command("ledger_verify", "--heads", str(kept), stdout=again)
    assert again.getvalue() == "ok: 3 entries, 1 signed heads\n"
    cut(2)
    assert ledger_verify().ok, "without the head nothing is to be seen"
    with pytest.raises(CommandError, match="counts 3 entries"):
        call_command("ledger_verify", "--heads", str(kept))


# -- forged heads ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("change", [
    {"seq": 2}, {"entry_sha256": "0" * 64}, {"at": "2020-01-01T00:00:00+00:00"}, {"signature": "00" * 64},
    {"signature": "xyz"}, {"public_key": "00" * 32},
])
def test_a_head_that_was_changed_is_no_head(change: dict[str, Any]) -> None:
    _three()
    head = stored()
    name = default_storage.listdir(FOLDER)[1][0]
    with default_storage.open(f"{FOLDER}/{name}", "w") as file:
        file.write(json.dumps(json.loads(head.line()) | change))
    report = ledger_verify()
    assert not report.ok
    assert "signature" in report.reason or "not trusted" in report.reason


@pytest.mark.parametrize("content", [
    "", "{", "[]", "{}", "null", '{"seq": 1}', "\x00" * 10_000, '{"schema": "x", "seq": 1, "entry_sha256": "", "at": '
    '"2020-01-01", "public_key": "", "signature": ""}',
])
def test_a_file_that_is_no_head_is_named(content: str, tmp_path: Any) -> None:
    _three()
    stored()
    name = default_storage.listdir(FOLDER)[1][0]
    with default_storage.open(f"{FOLDER}/{name}", "w") as file:
        file.write(content)
    report = ledger_verify()
    assert not report.ok
    assert name in report.reason
    kept = tmp_path / "heads"
    kept.write_text(f"\n{content or 'x'}\n")
    with pytest.raises(CommandError, match="line 2") as caught:
        call_command("ledger_verify", "--heads", str(kept))
    assert caught.value.returncode == 2


def test_a_head_of_a_key_of_before_is_good_while_that_key_is_named(settings: Any) -> None:
    _three()
    head, old = stored(), public_key()
    settings.FLYWHEEL = settings.FLYWHEEL | {"LEDGER_KEY": "another secret"}
    assert "not trusted" in checkpoint_fault(head)
    settings.FLYWHEEL = settings.FLYWHEEL | {"LEDGER_PUBLIC_KEYS": [old.upper()]}
    assert checkpoint_fault(head) == ""
    assert ledger_verify().ok


# -- when they are written -------------------------------------------------------------------------------------------
def test_one_is_written_a_day_and_none_when_nothing_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checkpoint_store() is None, "there is nothing to sign yet"
    assert checkpoint_sign() is None
    _three()
    assert stored().seq == 3
    _three()
    assert checkpoint_store() is None, "today has one"
    monkeypatch.setattr(timezone, "now", lambda: NOW + timedelta(days=1))
    assert stored().seq == 6
    monkeypatch.setattr(timezone, "now", lambda: NOW + timedelta(days=2))
    assert checkpoint_store() is None, "nothing is new"
    assert [head.seq for head in checkpoints_stored()] == [3, 6]


def test_beat_writes_them() -> None:
    from flywheel.celery import app

    app.loader.import_default_modules()
    assert "audit.checkpoint" in {entry["task"] for entry in app.conf.beat_schedule.values()}
    _three()
    app.tasks["audit.checkpoint"]()
    assert len(checkpoints_stored()) == 1


@pytest.mark.postgres
def test_the_database_refuses_to_empty_the_ledger() -> None:
    """The trigger of the migration is taken off for tests, which empty tables; it is put back for this one."""
    from importlib import import_module

    from django.db import DatabaseError

    _three()
    migration = import_module("flywheel.audit.migrations.0002_triggers")
    with connection.cursor() as cursor:
        cursor.execute(migration.POSTGRESQL_TRUNCATE)
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            cursor.execute("TRUNCATE audit_ledgerentry CASCADE")
    assert ledger_verify().entries == 3
