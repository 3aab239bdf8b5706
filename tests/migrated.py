"""An SQLite database with every migration applied, made once and copied for each test process.

Migrating takes longer than most test files. The copy is found by a digest of the repository's own migrations; what
other packages add since, Django's `migrate` still applies to it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def kept_at() -> Path:
    """Where the migrated database of these very migrations is, or will be."""
    digest = hashlib.sha256()
    for app in ("flywheel", "annotation", "provenance"):
        for path in sorted((ROOT / app).rglob("migrations/*.py")):
            digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return Path(tempfile.gettempdir()) / f"flywheel-migrated-{os.getuid()}-{digest.hexdigest()[:16]}.sqlite3"


def take(database: Path) -> bool:
    """Put a copy where the tests' database is wanted; False without one that is ours."""
    kept = kept_at()
    if not kept.is_file() or kept.is_symlink() or kept.stat().st_uid != os.getuid():
        return False
    shutil.copyfile(kept, database)
    return True


def keep(database: Path) -> None:
    """Keep a migrated, still empty database for the next process; whole or not at all."""
    kept = kept_at()
    if kept.exists():
        return
    part = kept.with_suffix(f".{os.getpid()}")
    source, target = sqlite3.connect(database), sqlite3.connect(part)
    with source, target:
        source.backup(target)
    source.close()
    target.close()
    part.replace(kept)
