"""Runs each benchmark in its own process, on each database that answers, and prints its JSON lines.

Every measuring process gets a fresh database and a fresh folder, so that figures do not depend on what ran before.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from tests import servers

ROOT = Path(__file__).resolve().parents[2]

# name -> (whether it needs a database, sizes it is measured at)
BENCHES: dict[str, tuple[bool, tuple[int, ...]]] = {
    "capture_bulk_per_s": (True, (10_000, 100_000)),
    "next_task_http_p95_ms": (True, (10_000, 100_000)),
    "submit_http_p95_ms": (True, (10_000, 100_000)),
    "snapshot_freeze_rows_per_s": (True, (10_000,)),
    "export_rows_per_s": (True, (10_000,)),
    "process_captures_per_s": (True, (1_000,)),
    "merkle_leaves_per_s": (False, (1_000_000,)),
    # The trainer measures this itself and says how many tokens it took.
    "trainer_real_tokens_per_s": (False, (0,)),
}
# Measured in one process, since both need the same tasks.
TOGETHER = {"submit_http_p95_ms": "next_task_http_p95_ms", "export_rows_per_s": "snapshot_freeze_rows_per_s"}


def _measure(name: str, only: str | None, backend: str, n: int) -> int:
    with tempfile.TemporaryDirectory(prefix="flywheel-bench-") as folder:
        database = f"flywheel_bench_{uuid.uuid4().hex[:8]}"
        env = os.environ | {
            "DJANGO_SETTINGS_MODULE": "flywheel.settings.dev",
            "FLYWHEEL_VAR_DIR": folder,
            "FLYWHEEL_MODELS_DIR": os.environ.get("FLYWHEEL_MODELS_DIR", str(ROOT / "var" / "models")),
            "FLYWHEEL_LOG_LEVEL": "ERROR",
            "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
        }
        if backend == "postgresql":
            _sql(f"CREATE DATABASE {database}")
            env["DATABASE_URL"] = f"{servers.POSTGRES_URL}/{database}"
        try:
            command = [sys.executable, "-m", "tests.bench.measure", name, str(n), backend]
            return subprocess.run([*command, only or ""], cwd=ROOT, env=env, check=False).returncode
        finally:
            if backend == "postgresql":
                _sql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")


def _sql(statement: str) -> None:
    import psycopg

    with psycopg.connect(f"{servers.POSTGRES_URL}/postgres", autocommit=True) as connection:
        connection.execute(statement.encode())


def main() -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--only", choices=sorted(BENCHES))
    parser.add_argument("--n", help="sizes, separated by commas, instead of each benchmark's own")
    parser.add_argument("--backend", choices=["postgresql", "sqlite"])
    args = parser.parse_args()
    backends = ["postgresql"] if servers.postgres_answers() else []
    backends += ["sqlite"]
    if args.backend:
        backends = [args.backend]
    failed = 0
    for name, (needs_database, sizes) in BENCHES.items():
        if args.only not in (None, name) or (args.only is None and name in TOGETHER):
            continue
        for n in [int(v) for v in args.n.split(",")] if args.n else sizes:
            for backend in backends if needs_database else ["none"]:
                failed += _measure(TOGETHER.get(name, name), args.only, backend, n) != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
