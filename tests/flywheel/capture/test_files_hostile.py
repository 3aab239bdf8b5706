"""Files from attackers and broken exporters: bad rows are reported by line, good ones are captured, nothing hangs."""

from __future__ import annotations

import json
import os
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flywheel.capture import services
from flywheel.capture.connectors.files.record_mappers import MAPPERS, format_of_record
from flywheel.capture.domain.payloads import BadPayload, delivery_of
from flywheel.capture.models import Capture, FileImport, Source
from flywheel.core.errors import ValidationFailed
from flywheel.core.models import User
from tests.flywheel.capture.conftest import ticket
from tests.flywheel.capture.test_files import write  # noqa: F401 - a fixture

pytestmark = pytest.mark.django_db

# The fixture comes by import, and its name again as an argument.
# ruff: noqa: F811

GOOD = json.dumps(ticket("T-good")).encode()

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from([
    "utterances", "conversation_id", "turns", "dialogue_id", "services", "messages", "segments", "text", "category",
    "message", "reply", "tags", "label", "customer", "external_id", "version", "subject", "scenario", "vertical", "kind",
])


@given(st.sampled_from(sorted(MAPPERS)), st.dictionaries(KEYS, JSON, max_size=8))
def test_any_record_is_mapped_or_refused_with_a_reason(kind: str, record: dict[str, Any]) -> None:
    format_of_record(record)
    with suppress(BadPayload):
        delivery_of(MAPPERS[kind].mapper(record))


def capture(path: Path, source: Source) -> list[services.Outcome]:
    return list(services.file_import(path=path, source=source, by=None))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'{"external_id":"1","messages":[],"x":' + b"[" * 5000 + b"]" * 5000 + b"}", "nested too deeply"),
        (b'{"external_id":"1","external_id":"2"}', "in one object twice"),
        (b'{"external_id":"\xff"}', "is not UTF-8"),
        (b'{"external_id":"1","messages":[{"role":"customer","text":"x"}],"x":1e400}', "too large for JSON"),
        (b'{"external_id":"1","x":NaN}', "not a JSON number"),
        (b'{"external_id":"1","x":' + b"9" * 6000 + b"}", "too many digits"),
        (b'{"external_id":"1","x":"' + b"x" * 3_000_000 + b'"}', "at most 2097152 are taken"),
        (b'{"external_id":"1","messages":[{"role":"customer","text":"\\ud800"}],"version":"\\ud800"}', "control characters"),
        (b"5", "found a number"),
        (b"", "there is nothing here"),
    ],
)
def test_a_bad_record_of_a_list_is_reported_by_its_number_and_does_not_keep_the_good_ones(
    write: Any, source: Source, content: bytes, reason: str
) -> None:
    outcomes = capture(write("a.json", b"[" + content + b", " + GOOD + b"]"), source)
    assert [(o.line, o.status) for o in outcomes] == [(1, "bad"), (2, "captured")]
    assert reason in outcomes[0].reason


def test_brackets_inside_brackets_do_not_fill_the_memory(write: Any, source: Source) -> None:
    with pytest.raises(ValidationFailed, match="nested too deeply"):
        capture(write("a.json", b"[" * 200_001 + b"]" * 200_001), source)


def test_a_file_with_bad_rows_is_read_again_once_their_cause_is_fixed(write: Any, source: Source) -> None:
    path = write("a.csv", "external_id,message\na1,all right\nü2,Wo ist es?\n".encode("latin-1"))
    first = capture(path, source)
    assert [o.status for o in first] == ["captured", "bad"]
    assert "--encoding latin-1" in first[1].reason
    again = list(services.file_import(path=path, source=source, by=None, encoding="latin-1"))
    assert [o.status for o in again] == ["repeated", "captured"]
    done = FileImport.objects.get()
    assert (done.rows_read, done.rows_captured, done.rows_repeated, done.rows_bad, done.bad_rows) == (2, 1, 1, 0, [])
    assert capture(path, source) == []


def test_links_that_lead_out_of_a_folder_are_not_followed(source: Source, tmp_path: Path) -> None:
    outside = tmp_path / "secret.jsonl"
    outside.write_bytes(json.dumps(ticket("T-secret")).encode())
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(GOOD)
    (folder / "out.jsonl").symlink_to(outside)
    (folder / "gone.json").symlink_to("/nonexistent")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.jsonl")
    assert [o.status for o in capture(folder, source)] == ["captured"]
    assert not Capture.objects.filter(external_id="T-secret").exists()


def test_what_is_no_file_is_refused_and_not_waited_for(source: Source, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    for path in (tmp_path / "pipe.jsonl", Path("/dev/zero")):
        with pytest.raises(ValidationFailed, match="neither a file nor a folder"):
            capture(path, source)


def test_a_zips_other_files_are_passed_over_and_named(source: Source, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("schema.json", "[1, 2]")
        archive.writestr("tickets.jsonl", GOOD)
    skipped: list[str] = []
    outcomes = services.file_import(path=tmp_path / "a.zip", source=source, by=None, skipped=skipped.append)
    assert [o.status for o in outcomes] == ["captured"]
    assert "schema.json has no known conversations" in skipped[0]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "external_id,message\na,b\n".encode("utf-16-le"), "if it is UTF-16"),
        ("a.csv", b"message,Message\na,b\n", "'message' twice"),
        ("a.json", b"[{}]", "nothing in it"),
        ("a.json", b'[{"a":NaN}]', "NaN is not a JSON number"),
    ],
)
def test_a_file_that_holds_nothing_says_why(
    write: Any, source: Source, name: str, content: bytes, reason: str
) -> None:
    with pytest.raises(ValidationFailed, match=reason):
        capture(write(name, content), source)


def test_a_quote_that_is_not_closed_is_reported_where_it_opened(write: Any, source: Source, admin: User) -> None:
    outcomes = capture(write("a.csv", b'external_id,message\na,fine\nb,"never closed\nc,kept\n'), source)
    assert [(o.line, o.status) for o in outcomes] == [(2, "captured"), (3, "bad"), (4, "captured")]
