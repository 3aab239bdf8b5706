"""An embedded installation's database, carried to PostgreSQL whole and verified.

Django's dumpdata cannot do this: fixtures cut times to milliseconds, so that no hash of the ledger fits any more, and
loaddata holds the whole fixture in memory. Here rows go straight from one connection to the other, through the fields'
own conversions and COPY. Files, broker and settings are left to docs/operations.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
from django.apps import apps
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core.management.color import no_style
from django.db import OperationalError, connection, connections, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Field, ForeignKey, Model

from flywheel.audit.ledger import LedgerReport, ledger_verify
from flywheel.audit.models import LedgerHead
from flywheel.settings.base import database

SOURCE = "moved_from"
PIECE = 5_000
MARK = "flywheel_move"
"""A table of the target that exists during a move: whose rows these are, so that the move can resume."""

# Migrations fill these in every database; the source's rows replace them.
_MIGRATED: tuple[type[Model], ...] = (Group.permissions.through, Group, Permission, ContentType)

Models = list[type[Model]]
Head = tuple[int, str]


class MoveFailed(Exception):
    """The move cannot go on; the message says why, what was kept and what to do."""


@dataclass(frozen=True, slots=True)
class TableMoved:
    """A table that is whole in the target. `moved` is 0 when an earlier attempt had moved it."""

    table: str
    rows: int
    moved: int


def database_move(
    *, source_url: str, told: Callable[[TableMoved], None], progress: Callable[[int], None] = lambda rows: None
) -> LedgerReport:
    """Carry every row of the database at `source_url` into the empty, migrated PostgreSQL database in use.

    A table, or tables that refer to one another, is one transaction; killed at any point, the same call goes on with
    the next. The source is kept from being written to meanwhile, and stays as it is. Returns the verified ledger of the
    target. Raises MoveFailed.
    """
    if connection.vendor != "postgresql":
        raise MoveFailed("the database in use is not PostgreSQL; set DATABASE_URL to the one that is to be filled")
    with _source_kept_still(source_url):
        for alias in ("default", SOURCE):
            _migrated_check(alias)
        head = _head(SOURCE)
        _begin(head)
        models = _models()
        for group in move_order(models):
            _group_move(group, told, progress)
        report = _verified(models, head)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
            cursor.execute(f"DROP TABLE {MARK}")
    return report


def rows_to_move(source_url: str) -> int:
    """How many rows the source holds, for a progress bar."""
    with _source_kept_still(source_url):
        return sum(_count(model, SOURCE) for model in _models())


# --- the two databases ------------------------------------------------------------------------------------------
@contextmanager
def _source_kept_still(url: str) -> Iterator[None]:
    config = database(url)
    if not config["ENGINE"].endswith("sqlite3"):
        raise MoveFailed("the source is not SQLite; PostgreSQL is moved with its own pg_dump and pg_restore")
    if not Path(config["NAME"]).is_file():
        raise MoveFailed(f"database {config['NAME']} does not exist; give the address as sqlite:////path/db.sqlite3")
    config["OPTIONS"]["timeout"] = 5
    connections.databases[SOURCE] = connections.configure_settings({"default": config})["default"]
    try:
        # SQLite's transactions take the write lock when they begin, see settings.
        with transaction.atomic(using=SOURCE):
            yield
    except OperationalError as error:
        if "locked" not in str(error):
            raise
        raise MoveFailed("the source is being written to; stop web, worker and trainer, then run again") from error
    finally:
        connections[SOURCE].close()
        del connections[SOURCE], connections.databases[SOURCE]


def _migrated_check(alias: str) -> None:
    executor = MigrationExecutor(connections[alias])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        name, address = ("source", "the source's address") if alias == SOURCE else ("target", "the target's address")
        raise MoveFailed(
            f"the {name} lacks {len(plan)} migrations, {plan[0][0]} first; run manage.py migrate with DATABASE_URL set "
            f"to {address}"
        )


def _head(alias: str) -> Head:
    return LedgerHead.objects.using(alias).values_list("seq", "entry_sha256").first() or (0, "")


def _begin(head: Head) -> None:
    """Take up the move that was begun, or begin one in an empty database."""
    with transaction.atomic(), connection.cursor() as cursor:
        if MARK in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT seq, sha256 FROM {MARK}")  # noqa: S608
            if cursor.fetchone() != head:
                raise MoveFailed(
                    "the target holds part of another move, or the source has changed since; drop the target database, "
                    "create and migrate it again, then run again"
                )
            return
        _empty_check()
        cursor.execute(f"CREATE TABLE {MARK} (seq bigint NOT NULL, sha256 text NOT NULL)")
        cursor.execute(f"INSERT INTO {MARK} VALUES (%s, %s)", head)  # noqa: S608
        for model in _MIGRATED:
            cursor.execute(f'DELETE FROM "{model._meta.db_table}"')  # noqa: S608


def _empty_check() -> None:
    held = [m for m in _models() if m not in _MIGRATED and m._base_manager.exists()]
    if held:
        more = f", and {len(held) - 1} more tables hold some" if held[1:] else ""
        raise MoveFailed(
            f"the target is not empty: {held[0]._meta.db_table} has {_count(held[0], 'default')} rows{more}; create a "
            f"new database and migrate it"
        )


def _models() -> Models:
    return [m for m in apps.get_models(include_auto_created=True) if m._meta.managed and not m._meta.proxy]


def _count(model: type[Model], alias: str) -> int:
    return model._base_manager.using(alias).count()


# --- order and rows ---------------------------------------------------------------------------------------------
def move_order(models: Models) -> list[Models]:
    """Tables after those that they refer to. Tables that refer to one another are one group."""
    groups = {model: frozenset([model]) for model in models}
    while True:
        graph = {
            group: [groups[to] for model in group for to in _refers_to(model) if to not in group]
            for group in groups.values()
        }
        try:
            return [sorted(group, key=models.index) for group in TopologicalSorter(graph).static_order()]
        except CycleError as cycle:
            together = frozenset().union(*cycle.args[1])
            groups |= dict.fromkeys(together, together)


def _refers_to(model: type[Model]) -> Models:
    return [
        f.related_model._meta.concrete_model or f.related_model
        for f in model._meta.local_concrete_fields if isinstance(f, ForeignKey)
    ]


def _group_move(group: Models, told: Callable[[TableMoved], None], progress: Callable[[int], None]) -> None:
    wanted = {model: _count(model, SOURCE) for model in group}
    held = {model: _count(model, "default") for model in group}
    if any(held.values()) and held != wanted:
        table = next(m._meta.db_table for m in group if held[m] != wanted[m])
        raise MoveFailed(
            f"{table} in the target was written to during the move; drop the target database, create and migrate it "
            f"again, and let nothing use it until the move has ended"
        )
    fresh = held != wanted
    if fresh:
        _group_copy(group, progress)
    else:
        progress(sum(wanted.values()))
    for model, rows in wanted.items():
        told(TableMoved(model._meta.db_table, rows, rows if fresh else 0))


def _group_copy(group: Models, progress: Callable[[int], None]) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        if len(group) == 1 and group[0] not in _refers_to(group[0]):
            # Checked piece by piece: deferred checks of millions of rows would pile up in the server's memory.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for model in group:
            for count in _rows_copy(model, cursor):
                progress(count)
        for statement in connection.ops.sequence_reset_sql(no_style(), group):
            cursor.execute(statement)


def _rows_copy(model: type[Model], cursor: Any) -> Iterator[int]:
    fields = [f for f in model._meta.local_concrete_fields if not f.generated]
    columns = ", ".join(connection.ops.quote_name(str(f.column)) for f in fields)
    statement = f'COPY "{model._meta.db_table}" ({columns}) FROM STDIN'
    rows = model._base_manager.using(SOURCE).order_by("pk").values_list(*(f.attname for f in fields))
    source = rows.iterator(chunk_size=PIECE)
    while piece := list(islice(source, PIECE)):
        _piece_copy(model, fields, piece, statement, cursor)
        yield len(piece)


def _piece_copy(
    model: type[Model], fields: list[Field[Any, Any]], piece: list[tuple[Any, ...]], statement: str, cursor: Any
) -> None:
    written = 0
    try:
        with cursor.copy(statement) as copy:
            for row in piece:
                copy.write_row(
                    [f.get_db_prep_save(value, connection) for f, value in zip(fields, row, strict=True)]
                )
                written += 1
    except psycopg.DataError as error:
        # SQLite keeps texts of any length and with NUL characters; PostgreSQL keeps neither.
        at = re.search(r"line (\d+)", error.diag.context or "")
        row = piece[int(at.group(1)) - 1 if at else min(written, len(piece) - 1)]
        pk = row[next(i for i, f in enumerate(fields) if f.primary_key)]
        raise MoveFailed(
            f"row {pk} of {model._meta.db_table} cannot be stored by PostgreSQL "
            f"({error.diag.message_primary or error}); fix it in the source, then run again"
        ) from error


# --- the end ----------------------------------------------------------------------------------------------------
def _verified(models: Models, head: Head) -> LedgerReport:
    for model in models:
        there, here = _count(model, SOURCE), _count(model, "default")
        if there != here:
            raise MoveFailed(f"{model._meta.db_table} has {there} rows in the source and {here} in the target")
    report = ledger_verify()
    if not report.ok:
        raise MoveFailed(
            f"the ledger of the target breaks at entry {report.broken_seq} ({report.reason}); run manage.py "
            f"ledger_verify against the source to see whether it did before"
        )
    if _head("default") != head:
        raise MoveFailed(f"the ledger's head in the target is {_head('default')}, in the source {head}")
    return report
