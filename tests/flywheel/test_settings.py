"""What an embedded installation makes for itself at its first start."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def started(folder: Path, **more: str) -> str:
    """Load the settings in a separate process and return the key that they have."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("FLYWHEEL_", "DJANGO_", "DATABASE_"))}
    script = "from flywheel.settings import dev; print(dev.SECRET_KEY)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=env | {"FLYWHEEL_VAR_DIR": str(folder)} | more, text=True,
        capture_output=True, check=True,
    )
    return done.stdout.strip()


def test_the_folder_and_the_key_are_the_owners_alone_and_stay(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "var"
    key = started(folder)
    assert len(key) >= 64
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "secret_key").stat().st_mode) == 0o600
    assert started(folder) == key
    assert started(tmp_path / "other") != key


def test_a_key_from_the_environment_is_written_nowhere(tmp_path: Path) -> None:
    assert started(tmp_path / "var", FLYWHEEL_SECRET_KEY="x" * 64) == "x" * 64
    assert not (tmp_path / "var" / "secret_key").exists()
