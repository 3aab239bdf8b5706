"""The embedded installation's folder and its secret key are its owner's alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from flywheel.settings.secret import folder_private, secret_key_from


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_folder_and_its_key_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "above" / "var"
    folder_private(folder, ours=False)
    key = secret_key_from(folder / "secret_key")
    assert (mode(folder), mode(folder / "secret_key")) == (0o700, 0o600)
    assert len(key) > 50
    assert secret_key_from(folder / "secret_key") == key
    assert [path.name for path in folder.iterdir()] == ["secret_key"]


@pytest.mark.parametrize(("ours", "expected"), [(True, 0o700), (False, 0o755)])
def test_a_folder_that_is_there_is_closed_only_if_it_is_ours(tmp_path: Path, ours: bool, expected: int) -> None:
    folder = tmp_path / "var"
    folder.mkdir()
    folder.chmod(0o755)
    folder_private(folder, ours=ours)
    assert mode(folder) == expected
