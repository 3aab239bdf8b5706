"""Several clients and workers at once. On SQLite writers queue, on PostgreSQL they meet: the end is the same."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from flywheel.audit.ledger import ledger_verify
from flywheel.audit.models import LedgerEntry
from flywheel.capture import services
from flywheel.capture.models import Capture, Example, FileImport
from flywheel.core.errors import Conflict
from tests.flywheel.capture.conftest import ticket

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*work: Callable[[], object]) -> list[object]:
    barrier = Barrier(len(work))

    def run(one: Callable[[], object]) -> object:
        try:
            barrier.wait(timeout=30)
            return one()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(work)) as pool:
        return [future.result(timeout=120) for future in [pool.submit(run, one) for one in work]]


def rows(count):
    return [
        ticket(f"T-{n}", f"My lamp number {n % 7} is broken {'and dark ' * (n % 11)}", "Sorry") for n in range(count)
    ]


def test_clients_that_deliver_the_same_at_once_capture_it_once(source):
    def deliver():
        return [o.status for o in services.capture_bulk(source=source, lines=rows(50), by=None)]

    found = at_once(*[deliver] * 4)
    assert sum(statuses.count("captured") for statuses in found) == 50
    assert sum(statuses.count("repeated") for statuses in found) == 150
    assert Capture.objects.count() == 50


def test_single_deliveries_at_once_are_one_capture(source):
    found = at_once(*[lambda: services.capture_one(source=source, payload=ticket(), by=None)] * 6)
    assert sorted(result.status for result in found) == ["captured"] + ["repeated"] * 5
    assert len({result.capture_id for result in found}) == 1


def test_a_file_that_two_processes_read_at_once_is_counted_once(source, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(300)))

    captured = []

    def read():
        with contextlib.suppress(Conflict):
            captured.extend(outcome.line for outcome in services.file_import(path=path, source=source, by=None))

    at_once(read, read)
    assert sorted(captured) == list(range(1, 301)), "the process that was overtaken captured no row of the other"
    done = FileImport.objects.get()
    assert (done.position, done.rows_read, done.rows_captured, done.rows_repeated) == (300, 300, 300, 0)
    assert Capture.objects.count() == 300
    assert LedgerEntry.objects.filter(action="import.finish").count() == 1


def test_a_file_another_process_has_gone_on_with_is_left_to_it(source, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows(10)))
    first = services.file_import(path=path, source=source, by=None, limit=4)
    assert len(list(first)) == 4
    original = services.importing._rows_left

    def overtaken(*args):
        yield from original(*args)
        FileImport.objects.update(position=7)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services.importing, "_rows_left", overtaken)
        with pytest.raises(Conflict, match="another process"):
            list(services.file_import(path=path, source=source, by=None))
    assert (FileImport.objects.get().rows_read, Capture.objects.count()) == (4, 4)


@pytest.mark.sweep
def test_workers_at_once_make_each_example_once(source):
    list(services.capture_bulk(source=source, lines=rows(120), by=None))

    def work():
        done = 0
        while count := services.process_captures(limit=10):
            done += count
        return done

    at_once(*[work] * 4)
    # A worker that finds all that is left in other hands stops; the sweep comes back for anything that failed there.
    work()
    assert Example.objects.count() == 120
    assert not Capture.objects.exclude(status="processed").exists()
    assert (
        not Example.objects.filter(duplicate_of=None).values("group_key").distinct().count()
        > Example.objects.values("group_key").distinct().count()
    )
    assert Example.objects.filter(duplicate_of=None).count() == Example.objects.values("group_key").distinct().count()
    assert ledger_verify().ok


def test_deliveries_and_workers_at_once_end_as_if_one_after_the_other(source):
    versions = [ticket("A", f"Question {v}", f"Answer {v}", version=str(v)) for v in range(20)]

    def deliver(payloads):
        return lambda: [services.capture_one(source=source, payload=p, by=None) for p in payloads]

    def work():
        for _ in range(30):
            services.process_captures(limit=3)

    at_once(deliver(versions[::2]), deliver(versions[1::2][::-1]), work, work)
    while services.process_captures():
        pass
    assert Example.objects.get().redacted[1]["text"] == "Answer 19"
    assert Capture.objects.filter(status="processed").count() == 20
