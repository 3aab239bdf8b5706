"""Freezing: what goes in, what is kept out and why, the same root twice, and withdrawals at every moment."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.utils import timezone

from annotation.models import Task
from flywheel.audit.ledger import ledger_verify
from flywheel.capture.models import Example
from flywheel.datasets import services
from flywheel.datasets.models import Snapshot, SnapshotRefusal, SnapshotRow
from flywheel.datasets.services import build
from flywheel.work.jobs import job_cancel, jobs_drain
from flywheel.work.models import Job
from provenance.models import Subject
from provenance.services import consent_withdraw, steward_quarantine
from tests.conftest import TESTER
from tests.flywheel.datasets.conftest import House
from training.contract.snapshot.reader import snapshot_rows, snapshot_verify

pytestmark = pytest.mark.django_db

Folder = Callable[[Snapshot], Path]


def test_a_frozen_snapshot_verifies_without_django(house: House, folder_of: Folder):
    house.settle(30)
    snapshot = house.freeze()
    assert snapshot.status == "frozen", snapshot.error
    report = snapshot_verify(folder_of(snapshot), snapshot.merkle_root)
    assert report.problems == []
    assert report.rows == snapshot.row_count == 30
    assert report.splits == snapshot.split_counts
    assert all(snapshot.split_counts.values())
    assert ledger_verify().ok


def test_the_row_is_the_redacted_context_and_the_annotated_reply(house: House, folder_of: Folder):
    (example,) = house.settle(1)
    snapshot = house.freeze(system_prompt="You are Acme's support.")
    (row,) = snapshot_rows(folder_of(snapshot), "train")
    assert row.id == str(example.uid)
    assert [(m.role, m.weight) for m in row.messages] == [
        ("system", 0), ("user", 0), ("user", 0), ("assistant", 1)
    ]
    assert row.messages[-1].content.startswith("Sorry for the wait. Order 0")
    assert (row.label, row.license, row.source) == ("Good", "CC-BY-4.0", "acme")
    assert row.provenance == str(example.provenance.uid)
    assert row.extra["language"] == "en"


def test_notes_go_in_only_where_the_source_says_so(house: House, folder_of: Folder):
    house.source.include_notes = True
    house.source.save()
    house.settle(1)
    (row,) = snapshot_rows(folder_of(house.freeze()), "train")
    assert [m.content for m in row.messages if m.content == "priority low"] == ["priority low"]


def test_freezing_the_same_state_twice_gives_the_same_root_and_files(house: House, folder_of: Folder):
    house.settle(25, customers=8)
    first, second = house.freeze(), house.freeze(name="Again")
    assert first.merkle_root == second.merkle_root
    for split in ("train", "validation", "test"):
        assert first.manifest["splits"][split]["sha256"] == second.manifest["splits"][split]["sha256"]
    # Two seeds may happen to split so few groups alike; five do not.
    assert len({house.freeze(seed=seed).merkle_root for seed in range(8, 13)}) > 1


@pytest.mark.sweep
def test_no_customer_and_no_near_duplicate_stands_in_two_splits(house: House, folder_of: Folder):
    house.settle(120, customers=40, near=50)
    snapshot = house.freeze()
    splits: dict[str, set[str]] = {}
    rows = SnapshotRow.objects.filter(snapshot=snapshot).select_related("example", "record")
    for row in rows.prefetch_related("record__subjects"):
        for key in (row.group_key, row.example.group_key, *(str(s) for s in row.record.subjects.all())):
            splits.setdefault(key, set()).add(row.split)
    assert all(len(found) == 1 for found in splits.values())
    assert snapshot_verify(folder_of(snapshot)).problems == []


def test_both_gates_keep_out_and_each_refusal_lists_all_reasons(house: House, steward):
    house.settle(6)
    house.settle(2, start=10, customers=20, consent=False, license_spdx="CC-BY-NC-4.0")
    quarantined = Example.objects.get(external_id="t-0")
    steward_quarantine(record=quarantined.provenance, reason="odd", by=steward)
    answer = Task.objects.get(example__external_id="t-1").settled_annotation
    answer.result[0]["value"]["text"] = [" "]
    answer.save()
    Task.objects.filter(example__external_id="t-2").update(state="in_review")
    snapshot = house.freeze()
    assert snapshot.refused_counts == {"empty_reply": 1, "licence_forbids_purpose": 2, "quarantined": 1}
    assert snapshot.row_count == 3
    refusal = SnapshotRefusal.objects.get(example__external_id="t-10")
    assert [reason["rule"] for reason in refusal.reasons] == ["licence_forbids_purpose", "no_consent"]
    assert snapshot.manifest["gate"] == {
        "cleared": 3, "refused": snapshot.refused_counts, "unsettled": 1
    }


def test_non_commercial_data_clears_for_non_commercial_use(house: House):
    house.settle(3, license_spdx="CC-BY-NC-SA-4.0")
    assert house.freeze().row_count == 0
    snapshot = house.freeze(commercial=False)
    assert (snapshot.row_count, snapshot.share_alike) == (3, True)
    assert snapshot.manifest["share_alike"] is True


def test_a_conversation_without_a_word_of_the_customer_is_kept_out(house: House):
    house.settle(3)
    Example.objects.filter(external_id="t-0").update(context_length=0)
    snapshot = house.freeze()
    assert snapshot.refused_counts == {"no_context": 1}


def test_nothing_cleared_freezes_as_an_empty_set_that_says_why(house: House, folder_of: Folder):
    house.settle(2, consent=False)
    snapshot = house.freeze()
    assert (snapshot.status, snapshot.row_count) == ("frozen", 0)
    assert snapshot.refused_counts == {"no_consent": 2}
    assert snapshot_verify(folder_of(snapshot)).problems == []


def test_the_manifest_and_card_say_what_is_in_it(house: House, folder_of: Folder):
    house.settle(30)
    snapshot = house.freeze()
    manifest = json.loads((folder_of(snapshot) / "manifest.json").read_text())
    assert manifest == snapshot.manifest
    assert manifest["licenses"] == {"CC-BY-4.0": 30}
    assert manifest["token_statistics"]["splits"]["train"]["tokens"] > 0
    assert Counter(manifest["labels"]["train"]).total() == snapshot.split_counts["train"]
    card = (folder_of(snapshot) / "README.md").read_text()
    assert card.startswith("---\npretty_name: Replies\n")
    assert snapshot.merkle_root in card


def test_the_parquet_columns_are_those_of_the_contract(house: House, folder_of: Folder):
    house.settle(3)
    schema = pq.read_schema(folder_of(house.freeze()) / "train.parquet")
    assert schema.names == [
        "id", "split", "group", "label", "license", "source", "provenance", "messages", "extra"
    ]
    assert str(schema.field("messages").type) == "list<element: struct<role: string, content: string, weight: int8>>"


def test_building_again_what_is_frozen_changes_nothing(house: House):
    house.settle(5)
    snapshot = house.freeze()
    rows = list(SnapshotRow.objects.values_list("pk", flat=True))
    house.build(snapshot)
    assert list(SnapshotRow.objects.values_list("pk", flat=True)) == rows
    assert not Job.objects.filter(kind="snapshot.build", finished_at=None).exists()


@pytest.mark.parametrize("step", ["_rows_read", "_rows_write", "rows_insert", "_documents_write", "_files_store", "_frozen_save"])
def test_a_build_killed_anywhere_is_repeated_to_the_same_root(
    house: House, folder_of: Folder, monkeypatch: pytest.MonkeyPatch, step: str
):
    house.settle(20)
    wanted = house.freeze().merkle_root
    snapshot = house.request()
    real = getattr(build, step)

    def killed(*args: Any, **kwargs: Any) -> None:
        real(*args, **kwargs)
        raise OSError("the machine went away")

    with monkeypatch.context() as patch:
        patch.setattr(build, step, killed)
        jobs_drain()
    snapshot.refresh_from_db()
    assert snapshot.status == "building"
    Job.objects.update(available_at=timezone.now())
    jobs_drain()
    snapshot.refresh_from_db()
    assert (snapshot.status, snapshot.merkle_root) == ("frozen", wanted)
    assert snapshot_verify(folder_of(snapshot), wanted).problems == []
    assert SnapshotRow.objects.filter(snapshot=snapshot).count() == 20


def test_a_cancelled_build_leaves_nothing_frozen(house: House):
    house.settle(5)
    snapshot = house.request()
    job_cancel(job_uid=str(snapshot.job.uid), by=TESTER)
    jobs_drain()
    snapshot.refresh_from_db()
    assert snapshot.status == "cancelled"
    assert not SnapshotRow.objects.exists()
    assert Job.objects.get(kind="snapshot.build").status == "cancelled"


def test_a_build_that_cannot_be_done_fails_with_its_reason(house: House, monkeypatch: pytest.MonkeyPatch):
    house.settle(5)
    monkeypatch.setattr(build, "_documents_write", lambda build: 1 / 0)
    snapshot = house.freeze()
    assert snapshot.status == "failed"
    assert "ZeroDivisionError" in snapshot.error
    assert not SnapshotRow.objects.exists()
    assert Job.objects.get(kind="snapshot.build").status == "failed"


def withdraw_once(monkeypatch: pytest.MonkeyPatch, step: str, *, times: int, by: Any) -> None:
    """Have a customer withdraw at the end of a step, in the first `times` attempts."""
    real, left = getattr(build, step), [times]

    def interrupted(*args: Any, **kwargs: Any) -> Any:
        result = real(*args, **kwargs)
        if left[0]:
            left[0] -= 1
            consent_withdraw(subject=Subject.objects.get(external_ref=f"customer-{left[0]}@example.org"), by=by)
        return result

    monkeypatch.setattr(build, step, interrupted)


@pytest.mark.parametrize("step", ["_rows_read", "_rows_write", "_files_store"])
def test_who_withdraws_while_it_is_built_is_not_in_it(
    house: House, folder_of: Folder, monkeypatch: pytest.MonkeyPatch, steward, step: str
):
    house.settle(10)
    withdraw_once(monkeypatch, step, times=1, by=steward)
    snapshot = house.request()
    house.build(snapshot)
    assert (snapshot.status, snapshot.row_count) == ("frozen", 9)
    assert snapshot.refused_counts == {"consent_withdrawn": 1}
    assert snapshot_verify(folder_of(snapshot)).problems == []


def test_a_build_that_facts_keep_changing_under_ends_tainted(
    house: House, monkeypatch: pytest.MonkeyPatch, steward
):
    house.settle(10)
    withdraw_once(monkeypatch, "_files_store", times=3, by=steward)
    snapshot = house.request()
    house.build(snapshot)
    assert snapshot.status == "tainted"
    assert SnapshotRow.objects.filter(snapshot=snapshot, tainted_at__isnull=False).count() == 1


def test_a_withdrawal_after_freezing_taints_rows_and_snapshot(house: House, steward):
    house.settle(6, customers=3)
    snapshot, other = house.freeze(), house.freeze(purpose="evaluation")
    subject = Subject.objects.get(external_ref="customer-0@example.org")
    records = list(subject.records.values_list("pk", flat=True))
    first = services.snapshots_withdraw(records, purposes=["sft"])
    again = services.snapshots_withdraw(records, purposes=["sft"])
    assert (first.rows, first.tainted_now) == (2, 2)
    assert (again.rows, again.tainted_now) == (2, 0)
    assert again.to_json() == first.to_json()
    snapshot.refresh_from_db()
    other.refresh_from_db()
    assert (snapshot.status, other.status) == ("tainted", "frozen")
    assert ledger_verify().ok
