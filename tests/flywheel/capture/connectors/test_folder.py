"""Files that other systems export into a folder of the file store."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from flywheel.capture import services
from flywheel.capture.connectors import CONNECTORS, ConnectorError, Cursor, PullConnector, Pulled, folder
from flywheel.capture.connectors.folder import FileFolder
from flywheel.capture.models import Capture, Source, SourcePull
from flywheel.core.errors import ValidationFailed
from flywheel.core.models import User
from flywheel.work.jobs import jobs_drain
from flywheel.work.models import Job
from tests.flywheel.capture.conftest import ticket

pytestmark = pytest.mark.django_db

FOLDER = {"folder": "desk"}


@pytest.fixture(autouse=True)
def _own_store(settings: Any, tmp_path: Any) -> None:
    settings.STORAGES = settings.STORAGES | {
        "default": {
            "BACKEND": "django.core.files.storage.FileSystemStorage",
            "OPTIONS": {"location": str(tmp_path), "allow_overwrite": True},
        },
    }


def export(name: str, *external_ids: str) -> None:
    default_storage.save(f"incoming/desk/{name}", ContentFile(lines(*external_ids)))


def lines(*external_ids: str) -> bytes:
    return b"".join(json.dumps(ticket(one)).encode() + b"\n" for one in external_ids)


@pytest.fixture
def desk(make_source: Callable[..., Source]) -> Source:
    return make_source("desk", kind="files", options=FOLDER)


def pull_now(source: Source) -> SourcePull:
    SourcePull.objects.filter(source=source).update(started_at=None)
    assert services.pulls_due() == 1
    jobs_drain()
    return SourcePull.objects.get(source=source)


def test_new_and_changed_files_are_captured_once(desk: Source, admin: User) -> None:
    export("a.jsonl", "T-1", "T-2")
    export("b.jsonl", "T-3")
    export("notes.txt", "T-9")
    pull = pull_now(desk)
    assert (pull.captured, pull.bad, pull.error, sorted(pull.cursor["read"])) == (3, 0, "", ["a.jsonl", "b.jsonl"])
    pull = pull_now(desk)
    assert (pull.captured, pull.repeated) == (0, 0)
    export("b.jsonl", "T-3", "T-4")
    pull = pull_now(desk)
    assert (pull.captured, pull.repeated) == (1, 1)
    assert set(Capture.objects.values_list("external_id", flat=True)) == {"T-1", "T-2", "T-3", "T-4"}
    assert Capture.objects.first().received_by == admin  # type: ignore[union-attr]


def test_a_zip_is_read_and_a_broken_file_is_counted_and_not_read_again(desk: Source) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("t.jsonl", lines("T-1"))
    default_storage.save("incoming/desk/good.zip", ContentFile(packed.getvalue()))
    default_storage.save("incoming/desk/bad.json", ContentFile(b"{broken"))
    pull = pull_now(desk)
    assert (pull.captured, pull.bad) == (1, 1)
    assert pull.bad_rows[0]["reason"].startswith("incoming/desk/bad.json")
    assert pull_now(desk).bad == 0


def test_a_folder_that_does_not_exist_yet_is_an_empty_one(desk: Source) -> None:
    assert pull_now(desk).error == ""


def test_a_source_is_pulled_when_its_interval_has_passed_and_never_twice_at_once(desk: Source) -> None:
    assert (services.pulls_due(), services.pulls_due()) == (1, 0)
    jobs_drain()
    assert services.pulls_due() == 0
    SourcePull.objects.update(started_at=timezone.now() - FileFolder.every)
    assert services.pulls_due() == 1


def test_sources_without_a_folder_or_switched_off_are_not_pulled(make_source: Callable[..., Source]) -> None:
    make_source("by-hand", kind="files")
    make_source("off", kind="files", options=FOLDER, active=False)
    make_source("posted")
    assert services.pulls_due() == 0


def test_a_system_that_is_away_keeps_the_cursor_and_is_asked_again(
    desk: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Away(FileFolder):
        def pull(self, options: Any, cursor: Cursor) -> Pulled:
            raise ConnectorError("the store is away")

    export("a.jsonl", "T-1")
    before = pull_now(desk).cursor
    monkeypatch.setitem(CONNECTORS, "files", Away())
    pull = pull_now(desk)
    assert (pull.error, pull.cursor) == ("the store is away", before)
    assert Job.objects.filter(kind=services.PULL_KIND, status="failed").count() == 0


def test_a_pull_that_was_killed_repeats_its_file_and_adds_nothing_twice(
    desk: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def cut(path: str) -> Any:
        yield from list(rows(path))[:1]
        raise Killed

    rows = folder._file_rows
    export("a.jsonl", "T-1", "T-2")
    with monkeypatch.context() as patch:
        patch.setattr(folder, "_file_rows", cut)
        patch.setattr("flywheel.capture.services.ingest.CHUNK_ROWS", 1)
        services.pulls_due()
        with pytest.raises(Killed):
            jobs_drain()
    assert Capture.objects.count() == 1
    Job.objects.update(claim_expires_at=timezone.now())
    jobs_drain()
    pull = SourcePull.objects.get()
    assert (pull.captured, pull.repeated, Capture.objects.count()) == (1, 1, 2)


def test_another_folder_starts_from_its_beginning(desk: Source, admin: User) -> None:
    export("a.jsonl", "T-1")
    pull_now(desk)
    services.source_change(source=desk, by=admin, options={"folder": "other"})
    assert SourcePull.objects.get().cursor == {}


@pytest.mark.parametrize("options", [
    {"folder": "../snapshots"}, {"folder": "/etc"}, {"folder": "a//b"}, {"folder": "."}, {"bucket": "x"}, {"folder": 1}, [],
])
def test_a_folder_outside_incoming_and_other_options_are_refused(
    options: Any, make_source: Callable[..., Source]
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        make_source("desk", kind="files", options=options)
    assert refused.value.field == "options"


def test_too_many_files_are_named_and_not_read(desk: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MOST_FILES", 1)
    export("a.jsonl", "T-1")
    export("b.jsonl", "T-2")
    assert "holds 2 files" in pull_now(desk).error


def test_the_connector_keeps_the_protocol() -> None:
    assert isinstance(CONNECTORS["files"], PullConnector)


def test_the_page_shows_the_folder_and_the_last_pull(desk: Source, client_of: Any, admin: User) -> None:
    export("a.jsonl", "T-1")
    pull_now(desk)
    page = client_of(admin).get("/sources/desk/").content.decode()
    assert "Last pull" in page
    assert "1 captured" in page
    form = client_of(admin).get("/sources/desk/edit/").content.decode()
    assert "folder = desk" in form
