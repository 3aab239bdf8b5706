"""Clearance that ends by itself: a snapshot says until when its rows may teach, and nothing is trained on it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from flywheel.core.errors import Conflict
from flywheel.core.models import User
from flywheel.datasets.exports import EXPORTS
from flywheel.datasets.models import Snapshot
from flywheel.datasets.services import export_stream
from flywheel.runs import services
from flywheel.runs.models import Budget
from flywheel.runs.services.leases import LeaseLost
from provenance.models import ProvenanceRecord
from provenance.services import consent_import
from tests.conftest import TESTER
from tests.flywheel.datasets.conftest import House
from tests.flywheel.runs import builders
from tests.flywheel.runs.builders import Messages

pytestmark = pytest.mark.django_db
NOW = timezone.now()
SOON = NOW + timedelta(days=30)


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> Messages:
    sent = Messages()
    monkeypatch.setattr("flywheel.runs.services.remote_jobs.current_app.send_task", sent)
    return sent


def given(number: int, *, days: int | None, record_id: str = "x", purposes: tuple[str, ...] = ("sft",)) -> None:
    """Consent of one customer that was given today and holds for so many days."""
    consent_import(by=TESTER, rows=[{
        "namespace": "acme", "subject_ref": f"customer-{number}@example.org", "record_id": f"{record_id}-{number}",
        "purposes": list(purposes), "events": [{
            "event_time": NOW.isoformat(), "event_state": "ConsentGiven",
            "validity_duration": f"P{days}D" if days else None,
        }],
    }])


def test_a_snapshot_without_any_end_has_none(house: House):
    house.settle(6)
    snapshot = house.freeze()
    assert snapshot.cleared_until is None
    assert snapshot.manifest["cleared_until"] is None


def test_the_first_end_of_any_row_is_the_snapshots(house: House):
    house.settle(6, consent=False)
    for number, days in enumerate((400, 30, 900, None, 31, None)):
        given(number, days=days)
    ProvenanceRecord.objects.filter(source_record_id="t-3").update(retention_until=NOW + timedelta(days=35))
    snapshot = house.freeze()
    assert snapshot.row_count == 6
    assert abs(snapshot.cleared_until - SOON) < timedelta(seconds=1)
    assert datetime.fromisoformat(snapshot.manifest["cleared_until"]).astimezone(UTC) <= snapshot.cleared_until


def test_a_consent_that_another_outlasts_ends_nothing(house: House):
    house.settle(1, consent=False)
    given(0, days=10)
    given(0, days=200, record_id="longer")
    snapshot = house.freeze()
    assert abs(snapshot.cleared_until - (NOW + timedelta(days=200))) < timedelta(seconds=1)


def test_what_was_refused_does_not_shorten_it(house: House):
    house.settle(3, consent=False)
    for number, days in enumerate((5, 300, 300)):
        given(number, days=days)
    ProvenanceRecord.objects.filter(source_record_id="t-0").update(license_spdx="")
    snapshot = house.freeze()
    assert snapshot.row_count == 2
    assert abs(snapshot.cleared_until - (NOW + timedelta(days=300))) < timedelta(seconds=1)


@pytest.fixture
def ending(house: House) -> Snapshot:
    house.settle(12, consent=False)
    for number in range(12):
        given(number, days=30)
    return house.freeze()


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: SOON + timedelta(seconds=2))


def test_nothing_is_trained_on_rows_whose_clearance_has_ended(
    ending: Snapshot, house: House, lead: User, admin: User, messages: Messages, monkeypatch: pytest.MonkeyPatch
):
    builders.budget(admin)
    recipe, device = builders.recipe(), builders.device()
    asked = [builders.requested(lead, where=house.project, of=ending, recipe=recipe, device=device) for _ in range(2)]
    queued = services.run_approve(run=asked[0], by=admin)
    token = messages.token_of(queued)
    later(monkeypatch)
    with pytest.raises(Conflict, match="ended on"):
        builders.requested(lead, where=house.project, of=ending, recipe=recipe, device=device)
    with pytest.raises(Conflict, match="ended on"):
        services.run_approve(run=asked[1], by=admin)
    with pytest.raises(LeaseLost, match="cancelled"):
        services.job_lease(job=queued, token=token, worker="box")
    queued.refresh_from_db()
    assert queued.status == "cancelled"
    assert "ended on" in queued.error
    assert not Budget.objects.exclude(reserved=0).exists()


def test_its_rows_are_not_handed_out_any_more_and_its_manifest_is(
    ending: Snapshot, lead: User, client_of: Callable[[User], Client], monkeypatch: pytest.MonkeyPatch, folder_of: Any
):
    base = f"/snapshots/{ending.uid}/"
    client = client_of(lead)
    assert "Train on it" in client.get(base).content.decode()
    later(monkeypatch)
    with pytest.raises(Conflict, match="ended on"):
        export_stream(snapshot=ending, export=EXPORTS["openai"])
    client = client_of(lead)
    assert client.get(f"{base}files/train.parquet").status_code == 422
    answer = client.get(f"{base}files/manifest.json")
    assert b"".join(answer.streaming_content)
    page = client.get(base).content.decode()
    assert "not handed out" in page
    assert "Train on it" not in page
    assert Path(folder_of(ending)).is_dir()


def test_a_new_consent_lets_a_new_snapshot_teach(
    ending: Snapshot, house: House, monkeypatch: pytest.MonkeyPatch
):
    later(monkeypatch)
    assert house.freeze().row_count == 0
    for number in range(12):
        given(number, days=None, record_id="renewed")
    assert house.freeze().row_count == 12
