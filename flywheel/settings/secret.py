"""What only the owner of an embedded installation may read: its folder, and the secret key made at first run."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def folder_private(path: Path, *, ours: bool) -> None:
    """Make the folder for its owner alone; one that is there is closed to all others if it is `ours`.

    Database, files and messages in it hold customers' words, sessions and the trainers' tokens. A folder that the user
    named may serve others too, so that it stays as open as they made it.
    """
    if not path.exists():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    elif ours and path.stat().st_uid == os.getuid():
        path.chmod(0o700)


def secret_key_from(path: Path) -> str:
    """Read the key, making it first when it is missing. Two processes that start together agree on one key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(64))
        try:
            # A link fails when another process was first, and never shows a half-written key.
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
