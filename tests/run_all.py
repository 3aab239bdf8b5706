"""Everything `make test` runs; stops at nothing, ends in one line of counts.

Lint, types and contracts first, then the unit tests, which touch no database. All other tests run once, on PostgreSQL where
it answers, in one process pool: the long ones start first, so that short ones fill the gaps, and properties are tried on
many more examples. SQLite then runs only what depends on the database engine (`tests/engine.py`). With CI set, an absent server is a failure and not a skip.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests import servers

ROOT = Path(__file__).resolve().parents[1]
UNIT = "not database and not slow and not browser"
REST = "database or slow or browser or hypothesis"
ENGINE = "engine and not slow"
UNIT_WORKERS = ("-n", "2")
# The long tests wait for processes most of the time, so more of them than there are cores run at once. A file stays in
# one process, because its tests share an installation or a model.
REST_WORKERS = ("-n", "4", "--dist", "loadfile", "--no-loadscope-reorder", "--hypothesis-profile=thorough")


@dataclass
class Tally:
    """What has been counted so far."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    broken: list[str] = field(default_factory=list)


def _run(name: str, command: list[str], tally: Tally, env: dict[str, str] | None = None) -> None:
    print(f"\n=== {name}", flush=True)
    started = time.monotonic()
    lines: list[str] = []
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | (env or {}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            sys.stdout.write(line)
            sys.stdout.flush()
    _count(lines, tally)
    if process.returncode != 0:
        tally.broken.append(name)
    outcome = "ok" if process.returncode == 0 else "FAILED"
    print(f"=== {name}: {outcome} in {time.monotonic() - started:.0f} s", flush=True)


def _count(lines: list[str], tally: Tally) -> None:
    """Add what the closing lines of pytest, or of Node's test runner, count."""
    # Node's runner repeats what failed after its counts, so these may be anywhere.
    for word, n in re.findall(r"^ℹ (pass|fail|skipped) (\d+)$", "".join(lines), re.MULTILINE):
        name = {"pass": "passed", "fail": "failed"}.get(word, word)
        setattr(tally, name, getattr(tally, name) + int(n))
    for line in reversed(lines[-5:]):
        found = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|error)", line)}
        if found:
            tally.passed += found.get("passed", 0)
            tally.failed += found.get("failed", 0) + found.get("error", 0)
            tally.skipped += found.get("skipped", 0)
            return


def _tool(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _node(*args: str) -> list[str]:
    """A command of the environment's own Node; npm's links need one on the path."""
    return [_tool("node"), *args]


def lint(tally: Tally) -> None:
    """Style, types, contracts, templates, migrations, deployment checks."""
    python = sys.executable
    production = {
        "DJANGO_SETTINGS_MODULE": "flywheel.settings.production",
        "FLYWHEEL_SECRET_KEY": "k" * 64 + "0123456789",
        "DATABASE_URL": "sqlite:////tmp/never-opened.sqlite3",
        "CELERY_BROKER_URL": "redis://127.0.0.1:6379/0",
        "FLYWHEEL_ALLOWED_HOSTS": "flywheel.example",
    }
    _run("ruff", [_tool("ruff"), "check", "."], tally)
    _run("mypy", [_tool("mypy"), "flywheel", "annotation", "provenance", "training"], tally)
    _run("biome", _node("node_modules/@biomejs/biome/bin/biome", "ci", "--error-on-warnings"), tally)
    for project in ("tsconfig.json", "tests/js/tsconfig.logic.json"):
        _run(f"types of scripts, {project}", _node("node_modules/typescript/bin/tsc", "--project", project), tally)
    _run("import contracts", [_tool("lint-imports")], tally)
    _run("templates", [_tool("djlint"), "--lint", "--quiet", "templates"], tally)
    _run("templates' format", [_tool("djlint"), "--check", "--quiet", "templates"], tally)
    rules = "{extends: relaxed, rules: {line-length: {max: 120}}}"
    _run("yaml", [_tool("yamllint"), "-s", "-d", rules, ".docker"], tally)
    _run("migrations", [python, "manage.py", "makemigrations", "--check", "--dry-run"], tally,
         {"DJANGO_SETTINGS_MODULE": "flywheel.settings.test"})
    _run("deployment checks", [python, "manage.py", "check", "--deploy", "--fail-level", "WARNING"], tally, production)


def _pytest(*args: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", *args]


def unit(tally: Tally) -> None:
    """Everything that needs no database, process, model or browser."""
    _run("unit tests of scripts", _node("--test", "--test-reporter=spec", "tests/js/*.test.js"), tally)
    _run("unit tests", _pytest(*UNIT_WORKERS, "-m", UNIT, "tests"), tally)


def integration(tally: Tally) -> None:
    """Databases, processes, models and browser once; then what depends on the engine on SQLite."""
    if not servers.available()["PostgreSQL"]:
        _run("all other tests, on SQLite", _pytest(*REST_WORKERS, "-m", REST, "tests"), tally)
        return
    env = {"FLYWHEEL_TEST_DATABASE_URL": f"{servers.POSTGRES_URL}/flywheel"}
    _run("all other tests, on PostgreSQL", _pytest(*REST_WORKERS, "-m", REST, "tests"), tally, env)
    _run("what depends on the engine, on SQLite", _pytest(*UNIT_WORKERS, "-m", ENGINE, "tests"), tally)


def main() -> int:
    """Run the parts asked for and print the counts."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=["lint", "unit", "integration"])
    only = parser.parse_args().only
    # Dozens of processes import the same modules: unless the compiled files are kept, each compiles all of them anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    tally = Tally()
    absent = [name for name, here in servers.available().items() if not here]
    absent += [] if servers.CHROMIUM else ["Chromium"]
    for name in absent:
        print(f"{name} is absent: the tests that need it are skipped", flush=True)
    if absent and os.environ.get("CI"):
        tally.broken.append(f"absent: {', '.join(absent)}")
    for part in (lint, unit, integration):
        if only in (None, part.__name__):
            part(tally)
    for name in tally.broken:
        print(f"FAILED: {name}")
    failed = max(tally.failed, len(tally.broken))
    print(f"\n{tally.passed} passed, {failed} failed, {tally.skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
