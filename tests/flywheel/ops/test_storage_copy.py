"""Files of an embedded installation into a bucket: each once, whole, under its own path."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command

from flywheel.ops.storage_copy import files_copy
from tests.s3 import bucket  # noqa: F401 - a fixture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in (("snapshots/a/train.parquet", b"rows" * 3_000_000), ("runs/b/model", b"weights")):
        (tmp_path / "var" / name).parent.mkdir(parents=True)
        (tmp_path / "var" / name).write_bytes(content)
    (tmp_path / "secret").write_text("outside")
    (tmp_path / "var" / "way-out").symlink_to(tmp_path / "secret")
    return tmp_path / "var"


def stored(bucket: Any) -> dict[str, int]:  # noqa: F811
    return {item.key: item.size for item in bucket.objects.all()}


def test_every_file_arrives_under_its_path_and_a_second_run_copies_nothing(
    bucket: Any, folder: Path  # noqa: F811
) -> None:
    assert [file.copied for file in files_copy(folder)] == [True, True]
    assert stored(bucket) == {"snapshots/a/train.parquet": 12_000_000, "runs/b/model": 7}
    assert [file.copied for file in files_copy(folder)] == [False, False]
    with default_storage.open("snapshots/a/train.parquet") as file:
        assert file.read(8) == b"rowsrows"


def test_what_was_half_copied_is_copied_again_under_the_same_name(bucket: Any, folder: Path) -> None:  # noqa: F811
    bucket.put_object(Key="runs/b/model", Body=b"wei")
    assert {file.path: file.copied for file in files_copy(folder)} == {
        "runs/b/model": True, "snapshots/a/train.parquet": True
    }
    assert stored(bucket)["runs/b/model"] == 7
    assert len(stored(bucket)) == 2


def test_what_is_stored_is_sent_without_acl_and_checksums_which_many_stores_refuse(
    bucket: Any, folder: Path  # noqa: F811
) -> None:
    sent: list[str] = []
    events = default_storage.connection.meta.client.meta.events
    events.register("before-sign.s3", lambda request, **rest: sent.extend(name.lower() for name in request.headers))
    list(files_copy(folder))
    assert sent
    assert [name for name in sent if "acl" in name or "checksum" in name or name == "x-amz-trailer"] == []


def test_a_large_file_is_read_through_the_disk_and_not_held_in_memory(bucket: Any, folder: Path) -> None:  # noqa: F811
    list(files_copy(folder))
    with default_storage.open("snapshots/a/train.parquet") as file:
        file.read(1)
        # Rolled over: the spooled file is a real one by now.
        assert file.file._rolled


def test_the_command_says_what_it_did_and_refuses_the_store_itself(bucket: Any, folder: Path) -> None:  # noqa: F811
    out = StringIO()
    call_command("files_copy", "--source", str(folder), stdout=out)
    assert out.getvalue() == "2 files copied, 0 were there already; 12000007 bytes in all\n"
    with pytest.raises(CommandError, match="does not exist"):
        call_command("files_copy", "--source", str(folder / "nowhere"))


def test_the_folder_in_use_is_not_copied_into_itself(settings: Any) -> None:
    location = settings.STORAGES["default"]["OPTIONS"]["location"]
    Path(location).mkdir(parents=True)
    with pytest.raises(CommandError, match="FLYWHEEL_S3_BUCKET"):
        call_command("files_copy", "--source", location)
