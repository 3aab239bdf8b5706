"""Which tests depend on the database engine, and which take long. Read by `tests/conftest.py`.

Every other database test runs on one engine only: Django's ORM and our services give the same answer on both.
"""

from __future__ import annotations

ENGINE = (
    # Locks, claims and leases: PostgreSQL has SKIP LOCKED and row locks, SQLite one writer.
    "tests/annotation/test_services.py",
    "tests/annotation/test_reviews.py",
    "tests/annotation/test_flags.py",
    "tests/flywheel/work/",
    "tests/flywheel/runs/test_leases.py",
    "tests/flywheel/runs/test_requests.py",
    # Triggers, canonical JSON and bulk inserts are written per engine.
    "tests/flywheel/audit/",
    "tests/flywheel/capture/test_normalize.py",
    "tests/flywheel/capture/test_groups.py",
    "tests/flywheel/datasets/test_build.py",
    "tests/flywheel/datasets/test_hostile.py",
    "tests/provenance/test_services.py",
    # Every address once on each engine: SQL that only one of them takes shows here.
    "tests/flywheel/test_addresses.py",
    "tests/flywheel/dashboard/test_stats.py",
    "tests/flywheel/ops/test_sqlite_to_postgres.py",
)
"""Prefixes of paths below the repository's root."""

LONGEST = (
    "tests/test_whole_turn.py",
    "tests/flywheel/ops/test_sqlite_to_postgres.py",
    "tests/flywheel/ops/test_demo.py",
    "tests/flywheel/runs/test_kill.py",
    "tests/training/test_main.py",
    "tests/browser/",
    "tests/flywheel/runs/test_methods.py",
    "tests/flywheel/runs/test_journey.py",
    "tests/annotation/browser/",
)
"""The longest first: tests that start whole installations begin at once, and short ones fill the gaps."""

def is_engine(path: str) -> bool:
    """Whether the tests of this file run on SQLite too."""
    return path.startswith(ENGINE)


def weight(path: str) -> int:
    """The place in the order of starting: 0 for the longest."""
    return next((place for place, prefix in enumerate(LONGEST) if path.startswith(prefix)), len(LONGEST))
