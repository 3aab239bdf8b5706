"""Personal data in annotators' replies reaches no snapshot and no download of one, whenever they were searched."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from django.utils import timezone

from annotation.models import Annotation
from flywheel.datasets.models import Snapshot, SnapshotRefusal
from flywheel.privacy.detector import PiiSpan
from tests.flywheel.datasets.conftest import House

pytestmark = pytest.mark.django_db

Folder = Callable[[Snapshot], Path]
ADDRESS = "siobhan@example.org"


class Finder:
    """Finds e-mail addresses; cannot read what says so."""

    def find(self, conversations: Any, *, names: Any, things: Any) -> Any:
        if "CHOKE" in str(conversations):
            raise ValueError("cannot read this")
        return [
            [[PiiSpan(m.start(), m.end(), "EMAIL", 1.0) for m in re.finditer(r"[\w.]+@[\w.]+\w", text)]
             for text in texts]
            for texts in conversations
        ]


@pytest.fixture(autouse=True)
def _finder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("annotation.services.redaction.default_detector", Finder)


def write(text: str, **fields: Any) -> Annotation:
    """Have the first settled answer say this, unsearched unless `fields` say otherwise."""
    given = Annotation.objects.order_by("pk").first()
    assert given is not None
    result = [item for item in given.result if item["from_name"] != "reply"]
    result.append({"from_name": "reply", "to_name": "conversation", "type": "textarea", "value": {"text": [text]}})
    Annotation.objects.filter(pk=given.pk).update(**({"result": result, "searched_at": None, "pii": []} | fields))
    return given


def everything(folder: Path) -> bytes:
    tables = [pq.read_table(path).to_pylist() for path in folder.glob("*.parquet")]
    return str(tables).encode() + b"".join(path.read_bytes() for path in folder.iterdir() if path.suffix != ".parquet")


def test_a_reply_that_was_not_searched_is_searched_at_the_freeze(house: House, folder_of: Folder):
    house.settle(8)
    given = write(f"Write to {ADDRESS}, not to me.")
    snapshot = house.freeze()
    assert (snapshot.status, snapshot.row_count, snapshot.refused_counts) == ("frozen", 8, {})
    text = everything(folder_of(snapshot))
    assert ADDRESS.encode() not in text
    assert re.search(rb"Write to <EMAIL_\d>, not to me\.", text)
    given.refresh_from_db()
    assert given.searched_at is not None


def test_the_openai_download_has_the_redacted_reply(house: House, lead, api_of):
    house.settle(8)
    write(f"Write to {ADDRESS}, not to me.")
    snapshot = house.freeze()
    got = api_of(lead).get(f"/api/v1/snapshots/{snapshot.uid}/openai.jsonl", {"split": "all"})
    assert got.status_code == 200
    text = b"".join(got.streaming_content)
    assert ADDRESS.encode() not in text
    assert re.search(rb"Write to <EMAIL_\d>, not to me\.", text)


def test_what_cannot_be_searched_is_kept_out_with_the_reason_and_holds_up_nobody(house: House, folder_of: Folder):
    house.settle(8)
    write(f"CHOKE {ADDRESS}")
    snapshot = house.freeze()
    assert (snapshot.status, snapshot.row_count) == ("frozen", 7)
    assert snapshot.refused_counts == {"reply_not_searched": 1}
    assert ADDRESS.encode() not in everything(folder_of(snapshot))
    assert "not searched for personal data" in SnapshotRefusal.objects.get().reasons[0]["value"]


def test_what_a_reviewer_keeps_goes_in_as_it_is(house: House, folder_of: Folder):
    house.settle(8)
    span = {"control": "reply", "part": 0, "start": 9, "end": 28, "type": "EMAIL", "score": 1.0,
            "placeholder": "<EMAIL_1>", "kept": True}
    write(f"Write to {ADDRESS}, not to me.", searched_at=timezone.now(), pii=[span])
    assert ADDRESS.encode() in everything(folder_of(house.freeze()))


def test_freezing_twice_searches_once_and_gives_one_root(house: House):
    house.settle(8)
    write(f"Write to {ADDRESS}, not to me.")
    first = house.freeze()
    assert house.build(first).merkle_root == house.freeze().merkle_root
