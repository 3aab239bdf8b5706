"""The secret key of an embedded installation: made at first run, kept in a file that only its owner can read."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def secret_key_from(path: Path) -> str:
    """Read the key, making it first when there is none. Two processes that start together agree on one key."""
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
